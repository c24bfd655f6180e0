# The library as other programs use it, all layers in one, made of the layers' objects: librefrain.so, which exports
# the API only (refrain.map), and librefrain.a; with headers, CMake package and pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# Debian's folder of an architecture, wherever the prefix is: the packages, made from the same build, need it.
if(CMAKE_LIBRARY_ARCHITECTURE AND CMAKE_INSTALL_LIBDIR STREQUAL "lib")
  set(CMAKE_INSTALL_LIBDIR lib/${CMAKE_LIBRARY_ARCHITECTURE})
endif()
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/refrain)

foreach(layer ir passes backends frontend)
  list(APPEND objects $<TARGET_OBJECTS:refrain_${layer}>)
endforeach()
get_property(links GLOBAL PROPERTY REFRAIN_LINKS)
list(REMOVE_DUPLICATES links)
list(REMOVE_ITEM links nlohmann_json::nlohmann_json)  # headers only
# Where find_package finds them, for who links librefrain.a.
set(REFRAIN_LINKED_PACKAGES "Threads fmt Protobuf ONNX DNNL hwy OpenMP TBB ZLIB")

# refrain_library(NAME TYPE): one form of it.
function(refrain_library name type)
  add_library(${name} ${type} ${objects})
  set_target_properties(${name} PROPERTIES OUTPUT_NAME refrain LINKER_LANGUAGE CXX)
  target_link_libraries(${name} PRIVATE ${links})
  target_include_directories(${name} INTERFACE
    $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
endfunction()

refrain_library(refrain_shared SHARED)
set(map ${PROJECT_SOURCE_DIR}/cmake/refrain.map)
set_target_properties(refrain_shared PROPERTIES
  EXPORT_NAME refrain VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS ${map})
# What the API does not reach (rivals, what only the tool needs) is left out.
target_link_options(refrain_shared PRIVATE
  -Wl,--version-script=${map} -Wl,--no-undefined -Wl,--as-needed -Wl,--gc-sections)
refrain_library(refrain_static STATIC)

get_property(headers GLOBAL PROPERTY REFRAIN_HEADERS)
install(FILES ${headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/refrain COMPONENT development)
install(TARGETS refrain_shared EXPORT refrain_shared
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT library NAMELINK_COMPONENT development)
install(TARGETS refrain_static EXPORT refrain_static
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
foreach(form shared static)
  install(EXPORT refrain_${form} NAMESPACE refrain:: DESTINATION ${package_dir} COMPONENT development)
endforeach()
install(TARGETS refrain RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT tools)

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/refrain-config.cmake.in
  ${PROJECT_BINARY_DIR}/refrain-config.cmake INSTALL_DESTINATION ${package_dir}
  NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/refrain-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/refrain-config.cmake ${PROJECT_BINARY_DIR}/refrain-config-version.cmake
  ${PROJECT_SOURCE_DIR}/cmake/FindDNNL.cmake
  DESTINATION ${package_dir} COMPONENT development)

# The prefix in it is relative to the file, so that a tree can be moved.
file(RELATIVE_PATH prefix_from_pkgconfig /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/cmake/refrain.pc.in ${PROJECT_BINARY_DIR}/refrain.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/refrain.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig
  COMPONENT development)
