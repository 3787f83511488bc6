# A room is one library with its promise (include/), its inside (src/) and its tests (test/).
#
#   mpitrain_add_room(NAME scheduler_core
#       HEADERS include/mpitrain/scheduler/x.hpp SOURCES src/x.cpp
#       PUBLIC mpitrain::base PRIVATE PkgConfig::HWLOC
#       [PURE] [INSTALL])
#
# gives mpitrain::scheduler_core. PURE libraries are checked by tests/house to make no system call;
# INSTALL ones belong to the installed package.
add_library(mpitrain_options INTERFACE)
target_compile_features(mpitrain_options INTERFACE cxx_std_20)
target_compile_options(mpitrain_options INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wconversion;-Wsign-conversion;-Wold-style-cast;-Wnon-virtual-dtor;-Woverloaded-virtual;-Wnull-dereference;-Wformat=2;-Wundef;-Wvla>
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<BOOL:${MPITRAIN_WERROR}>>:-Werror>)
if(MPITRAIN_SANITIZE)
    list(JOIN MPITRAIN_SANITIZE "," mpitrain_sanitizers)
    target_compile_options(mpitrain_options INTERFACE
        -fsanitize=${mpitrain_sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(mpitrain_options INTERFACE -fsanitize=${mpitrain_sanitizers})
    target_compile_definitions(mpitrain_options INTERFACE MPITRAIN_SANITIZED)  # for limits on memory
endif()
if(MPITRAIN_BUILD_FUZZERS)
    # What is fuzzed must count its branches too, or libFuzzer is blind in it.
    target_compile_options(mpitrain_options INTERFACE -fsanitize=fuzzer-no-link)
endif()
# Everything a user runs, without the tests: what scripts/quickstart builds.
add_custom_target(product)

function(mpitrain_add_room)
    cmake_parse_arguments(ROOM "PURE;INSTALL" "NAME" "HEADERS;SOURCES;PUBLIC;PRIVATE" ${ARGN})
    set(target mpitrain_${ROOM_NAME})
    add_library(${target} STATIC ${ROOM_SOURCES})
    add_library(mpitrain::${ROOM_NAME} ALIAS ${target})
    set_target_properties(${target} PROPERTIES EXPORT_NAME ${ROOM_NAME} LINKER_LANGUAGE CXX
        VERIFY_INTERFACE_HEADER_SETS ON)
    target_sources(${target} PUBLIC FILE_SET HEADERS BASE_DIRS include FILES ${ROOM_HEADERS})
    target_include_directories(${target} PRIVATE src)
    # Public, since the headers need it in the programs of others too.
    target_compile_features(${target} PUBLIC cxx_std_20)
    target_link_libraries(${target} PUBLIC ${ROOM_PUBLIC} PRIVATE ${ROOM_PRIVATE}
        $<BUILD_INTERFACE:mpitrain_options>)
    if(ROOM_PURE)
        set_property(GLOBAL APPEND PROPERTY MPITRAIN_PURE_ROOMS ${target})
    endif()
    if(ROOM_INSTALL)
        set_property(GLOBAL APPEND PROPERTY MPITRAIN_INSTALLED_ROOMS ${target})
    endif()
endfunction()

# A program of the product. LIBEXEC puts it beside the tools that only mpitrain itself starts; an EXAMPLE is not installed.
function(mpitrain_add_program)
    cmake_parse_arguments(PROGRAM "LIBEXEC;EXAMPLE" "NAME" "SOURCES;LINK" ${ARGN})
    add_executable(${PROGRAM_NAME} ${PROGRAM_SOURCES})
    target_link_libraries(${PROGRAM_NAME} PRIVATE ${PROGRAM_LINK} mpitrain_options)
    set_target_properties(${PROGRAM_NAME} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)
    add_dependencies(product ${PROGRAM_NAME})
    if(PROGRAM_LIBEXEC)
        install(TARGETS ${PROGRAM_NAME} DESTINATION ${CMAKE_INSTALL_LIBEXECDIR}/mpitrain)
    elseif(NOT PROGRAM_EXAMPLE)
        install(TARGETS ${PROGRAM_NAME} DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
endfunction()

# Unit tests beside the code: one GoogleTest program, every case its own ctest entry.
#   mpitrain_add_unit_test(NAME base SOURCES test/x_test.cpp LINK mpitrain::base [LABELS unit])
function(mpitrain_add_unit_test)
    if(NOT MPITRAIN_BUILD_TESTS)
        return()
    endif()
    cmake_parse_arguments(UNIT "" "NAME;TIMEOUT" "SOURCES;LINK;LABELS" ${ARGN})
    if(NOT UNIT_LABELS)
        set(UNIT_LABELS unit)
    endif()
    if(NOT UNIT_TIMEOUT)
        set(UNIT_TIMEOUT 60)
    endif()
    set(target ${UNIT_NAME}_test)
    add_executable(${target} ${UNIT_SOURCES})
    target_include_directories(${target} PRIVATE src)
    target_link_libraries(${target} PRIVATE ${UNIT_LINK} GTest::gtest_main GTest::gmock mpitrain_options)
    include(GoogleTest)
    gtest_discover_tests(${target} TEST_PREFIX "${UNIT_NAME}." DISCOVERY_MODE PRE_TEST
        PROPERTIES LABELS "${UNIT_LABELS}" TIMEOUT ${UNIT_TIMEOUT})
endfunction()

# A program whose ranks assert together; its main() initialises MPI and returns non-zero on failure.
#   mpitrain_add_mpi_test(NAME communicator SOURCES … LINK … RANKS 1 2 4 TIMEOUT 40)
function(mpitrain_add_mpi_test)
    if(NOT MPITRAIN_BUILD_TESTS)
        return()
    endif()
    cmake_parse_arguments(MPITEST "" "NAME;TIMEOUT" "SOURCES;LINK;RANKS" ${ARGN})
    set(target ${MPITEST_NAME}_mpi_test)
    add_executable(${target} ${MPITEST_SOURCES})
    target_include_directories(${target} PRIVATE src)
    target_link_libraries(${target} PRIVATE ${MPITEST_LINK} GTest::gtest MPI::MPI_C mpitrain_options)
    foreach(ranks IN LISTS MPITEST_RANKS)
        set(test ${MPITEST_NAME}.mpi.${ranks})
        add_test(NAME ${test} COMMAND ${PROJECT_SOURCE_DIR}/tests/tools/mpi-test ${ranks}
            $<TARGET_FILE:${target}>)
        set_tests_properties(${test} PROPERTIES LABELS mpi TIMEOUT ${MPITEST_TIMEOUT} PROCESSORS 2)
    endforeach()
endfunction()

# One fuzz target per parser: with clang and MPITRAIN_BUILD_FUZZERS a libFuzzer program, else a
# program that replays its corpus and then mutates it for a bounded number of inputs. The corpus is
# CORPUS or fuzz/corpus/NAME, the dictionary fuzz/NAME.dict, where they exist.
#   mpitrain_add_fuzzer(NAME hostlist SOURCE fuzz/hostlist_fuzz.cpp LINK mpitrain::base)
function(mpitrain_add_fuzzer)
    if(NOT MPITRAIN_BUILD_TESTS)
        return()
    endif()
    cmake_parse_arguments(FUZZ "" "NAME;SOURCE;CORPUS" "LINK" ${ARGN})
    set(target ${FUZZ_NAME}_fuzz)
    set(arguments -runs=20000 -seed=1 -timeout=20)
    if(MPITRAIN_BUILD_FUZZERS)
        add_executable(${target} ${FUZZ_SOURCE})
        target_link_options(${target} PRIVATE -fsanitize=fuzzer)
        # libFuzzer keeps what it finds in the first folder it is given: never the source tree.
        set(found ${CMAKE_CURRENT_BINARY_DIR}/corpus-${FUZZ_NAME})
        file(MAKE_DIRECTORY ${found})
        list(APPEND arguments -max_total_time=60 ${found})
    else()
        add_executable(${target} ${FUZZ_SOURCE} ${PROJECT_SOURCE_DIR}/tests/fuzz/driver.cpp)
    endif()
    target_link_libraries(${target} PRIVATE ${FUZZ_LINK} mpitrain_options)
    set(dictionary ${CMAKE_CURRENT_SOURCE_DIR}/fuzz/${FUZZ_NAME}.dict)
    if(EXISTS ${dictionary})
        list(PREPEND arguments -dict=${dictionary})
    endif()
    if(NOT FUZZ_CORPUS)
        set(FUZZ_CORPUS fuzz/corpus/${FUZZ_NAME})
    endif()
    cmake_path(ABSOLUTE_PATH FUZZ_CORPUS OUTPUT_VARIABLE corpus)
    set(seeds "")
    if(EXISTS ${corpus})
        set(seeds ${corpus})
    endif()
    add_test(NAME fuzz.${FUZZ_NAME} COMMAND ${target} ${arguments} ${seeds})
    set_tests_properties(fuzz.${FUZZ_NAME} PROPERTIES LABELS fuzz TIMEOUT 120)
    # For scripts/campaign fuzz: the target, its program, its seeds.
    set_property(GLOBAL APPEND PROPERTY MPITRAIN_FUZZERS "${target} $<TARGET_FILE:${target}> ${seeds}")
endfunction()
