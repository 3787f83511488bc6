# The installed package: find_package(mpitrain) gives mpitrain::client, mpitrain::collectives, mpitrain::checkpoint.
include(CMakePackageConfigHelpers)
get_property(rooms GLOBAL PROPERTY MPITRAIN_INSTALLED_ROOMS)
if(rooms)
    install(TARGETS ${rooms} EXPORT mpitrain-targets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
    install(EXPORT mpitrain-targets NAMESPACE mpitrain:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mpitrain)
endif()
configure_package_config_file(cmake/mpitrain-config.cmake.in mpitrain-config.cmake
    INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mpitrain)
write_basic_package_version_file(mpitrain-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/mpitrain-config.cmake ${PROJECT_BINARY_DIR}/mpitrain-config-version.cmake
    DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/mpitrain)

# The command line's completions, as the program itself prints them, and the man pages.
if(TARGET mpitrain)
    set(completions)
    foreach(shell bash zsh fish)
        set(completion ${PROJECT_BINARY_DIR}/completions/mpitrain.${shell})
        list(APPEND completions ${completion})
        add_custom_command(OUTPUT ${completion} DEPENDS mpitrain
            COMMAND mpitrain completion ${shell} > ${completion} VERBATIM)
    endforeach()
    file(MAKE_DIRECTORY ${PROJECT_BINARY_DIR}/completions)
    add_custom_target(completions ALL DEPENDS ${completions})
    add_dependencies(product completions)
    list(GET completions 0 bash)
    list(GET completions 1 zsh)
    list(GET completions 2 fish)
    install(FILES ${bash} DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME mpitrain)
    install(FILES ${zsh} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions RENAME _mpitrain)
    install(FILES ${fish} DESTINATION ${CMAKE_INSTALL_DATADIR}/fish/vendor_completions.d)
    if(EXISTS ${PROJECT_SOURCE_DIR}/docs/man)
        install(DIRECTORY docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1 FILES_MATCHING PATTERN "*.1")
    endif()
endif()
