# CUDA and NCCL, as MPITRAIN_CUDA asks (AUTO, ON, OFF). A toolkit is found where CMake finds one, or in the Python wheels
# that scripts/lib/fetch-cuda-wheels unpacks to MPITRAIN_CUDA_ROOT. Sets MPITRAIN_CUDA_FOUND and
# MPITRAIN_CUDA_SUMMARY, enables the language CUDA, and makes the target mpitrain::cudart (headers, static runtime).
# Nothing built with it needs a GPU, a driver or NCCL to start.
set(MPITRAIN_CUDA_ROOT ${PROJECT_SOURCE_DIR}/build/cuda-wheels CACHE PATH
    "Where scripts/lib/fetch-cuda-wheels put the CUDA toolkit and NCCL")
set(MPITRAIN_CUDA_FOUND FALSE)

# Sets `result` to why CUDA cannot be used, or to nothing.
function(mpitrain_look_for_cuda result)
    set(${result} "" PARENT_SCOPE)
    if(MPITRAIN_SANITIZE)
        set(${result} "sanitizers do not go through nvcc" PARENT_SCOPE)
        return()
    endif()
    find_program(MPITRAIN_NVCC nvcc
        HINTS ${CMAKE_CUDA_COMPILER} ENV CUDACXX ENV CUDA_PATH ENV CUDA_HOME /usr/local/cuda
            ${MPITRAIN_CUDA_ROOT}/nvidia/cu13
        PATH_SUFFIXES bin)
    if(NOT MPITRAIN_NVCC)
        set(${result} "no nvcc; scripts/lib/fetch-cuda-wheels gets one" PARENT_SCOPE)
        return()
    endif()
    find_package(NCCL 2.18 QUIET)
    if(NOT NCCL_FOUND)
        set(${result} "no nccl.h of 2.18 or newer; set NCCL_ROOT or use scripts/lib/fetch-cuda-wheels" PARENT_SCOPE)
    endif()
endfunction()

if(MPITRAIN_CUDA STREQUAL "OFF")
    set(MPITRAIN_CUDA_SUMMARY "no: MPITRAIN_CUDA is OFF")
    return()
endif()
mpitrain_look_for_cuda(mpitrain_cuda_problem)
if(mpitrain_cuda_problem)
    if(MPITRAIN_CUDA STREQUAL "ON")
        message(FATAL_ERROR "MPITRAIN_CUDA is ON, but: ${mpitrain_cuda_problem}")
    endif()
    set(MPITRAIN_CUDA_SUMMARY "no: ${mpitrain_cuda_problem}")
    return()
endif()

if(NOT CMAKE_CUDA_COMPILER)
    set(CMAKE_CUDA_COMPILER ${MPITRAIN_NVCC})
endif()
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    # A100, H100 and H200; the last also as PTX, for what comes after.
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90)
endif()
set(CMAKE_CUDA_HOST_COMPILER ${CMAKE_CXX_COMPILER})
enable_language(CUDA)
if(NOT DEFINED CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    # CMake 3.25 does not know that nvcc has C++20, which the C++ standard of a target asks of its kernels as well.
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
find_package(NCCL 2.18 REQUIRED)  # again, for its target
# FindCUDAToolkit wants the shared runtime, which the wheels have under a name of their own.
find_library(MPITRAIN_CUDART cudart_static REQUIRED HINTS ${CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES})
add_library(mpitrain::cudart INTERFACE IMPORTED)
set_target_properties(mpitrain::cudart PROPERTIES
    INTERFACE_INCLUDE_DIRECTORIES "${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES}")
set(MPITRAIN_CUDA_FOUND TRUE)
set(MPITRAIN_CUDA_SUMMARY "CUDA ${CMAKE_CUDA_COMPILER_VERSION}, NCCL ${NCCL_VERSION} (${MPITRAIN_NVCC})")
