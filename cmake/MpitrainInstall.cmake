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
