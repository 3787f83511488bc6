# NCCL's header; the library itself is opened at run time. Looks into NCCL_ROOT, beside the CUDA toolkit, into
# MPITRAIN_CUDA_ROOT (where scripts/lib/fetch-cuda-wheels puts it) and into the system's folders.
#   NCCL_FOUND  NCCL_VERSION  NCCL_INCLUDE_DIR  and the target NCCL::headers
find_path(NCCL_INCLUDE_DIR nccl.h
    HINTS ${NCCL_ROOT} ENV NCCL_ROOT ${MPITRAIN_CUDA_ROOT}/nvidia/nccl ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES}
    PATH_SUFFIXES include)
if(NCCL_INCLUDE_DIR)
    file(STRINGS ${NCCL_INCLUDE_DIR}/nccl.h nccl_numbers REGEX "#define NCCL_(MAJOR|MINOR|PATCH) +[0-9]+")
    string(REGEX MATCHALL "[0-9]+" nccl_numbers "${nccl_numbers}")
    list(JOIN nccl_numbers "." NCCL_VERSION)
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(NCCL REQUIRED_VARS NCCL_INCLUDE_DIR VERSION_VAR NCCL_VERSION)
mark_as_advanced(NCCL_INCLUDE_DIR)
if(NCCL_FOUND AND NOT TARGET NCCL::headers)
    add_library(NCCL::headers INTERFACE IMPORTED)
    set_target_properties(NCCL::headers PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${NCCL_INCLUDE_DIR})
endif()
