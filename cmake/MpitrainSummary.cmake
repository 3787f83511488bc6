# What this build contains, so that an absent optional part is never a surprise.
message(STATUS "mpitrain ${PROJECT_VERSION}: ${CMAKE_BUILD_TYPE}, ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
message(STATUS "  Open MPI / MPI   ${MPI_C_VERSION} (${MPI_C_LIBRARIES})")
message(STATUS "  hwloc            ${HWLOC_VERSION}")
message(STATUS "  HDF5             ${HDF5_VERSION} (${HDF5_MODULE_NAME})")
message(STATUS "  CUDA and NCCL    ${MPITRAIN_CUDA_SUMMARY}")
message(STATUS "  tests ${MPITRAIN_BUILD_TESTS}, sanitizers '${MPITRAIN_SANITIZE}', fuzzers ${MPITRAIN_BUILD_FUZZERS}")
