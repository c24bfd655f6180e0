# Debian packages by `cpack -G DEB`: librefrain0, librefrain-dev, refrain-tools, python3-refrain.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME refrain)
set(CPACK_PACKAGE_VENDOR Refrain)
set(CPACK_PACKAGE_CONTACT "Refrain <refrain@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_PACKAGE_DIRECTORY ${PROJECT_BINARY_DIR}/packages)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL library development tools python)
set(CPACK_DEB_COMPONENT_INSTALL ON)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
# What programs and libraries need is found in them; packages that were linked with librefrain.so.0 need librefrain0.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${PROJECT_BINARY_DIR})
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(same_version "librefrain${PROJECT_VERSION_MAJOR} (= ${PROJECT_VERSION})")

# Debian's packages name the licence, which is on every Debian system.
file(WRITE ${PROJECT_BINARY_DIR}/copyright "Copyright: the authors of Refrain

License: Apache-2.0
 On Debian systems the text of the licence is in /usr/share/common-licenses/Apache-2.0.
")

# refrain_package(COMPONENT NAME SECTION DESCRIPTION DEPENDS [SUGGESTS])
function(refrain_package component name section description depends)
  string(TOUPPER ${component} key)
  set(prefix CPACK_DEBIAN_${key}_PACKAGE)
  set(${prefix}_NAME ${name} PARENT_SCOPE)
  set(${prefix}_SECTION ${section} PARENT_SCOPE)
  set(${prefix}_DEPENDS ${depends} PARENT_SCOPE)
  set(${prefix}_SUGGESTS "${ARGN}" PARENT_SCOPE)
  set(CPACK_COMPONENT_${key}_DESCRIPTION ${description} PARENT_SCOPE)
  install(FILES ${PROJECT_BINARY_DIR}/copyright DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${name}
    COMPONENT ${component})
endfunction()

refrain_package(library librefrain${PROJECT_VERSION_MAJOR} libs
  "recurrent networks, compiled and run on CPUs
Loads RNN, LSTM, GRU and hand-written recurrent cells from ONNX and runs them
in whole sequences or step by step. This package has the library." "")
refrain_package(development librefrain-dev libdevel
  "recurrent networks, compiled and run on CPUs (development files)
The headers for C++ and C, the static library, the CMake package and the
pkg-config file." ${same_version}
  "libonnx-dev, libprotobuf-dev, libdnnl-dev, libhwy-dev, libtbb-dev, libfmt-dev, zlib1g-dev")
refrain_package(tools refrain-tools utils
  "recurrent networks, compiled and run on CPUs (command line)
The program refrain: compiles, inspects, runs, verifies and times models." "")
math(EXPR next_minor "${Python3_VERSION_MINOR} + 1")
set(this_python "python3 (>= 3.${Python3_VERSION_MINOR}), python3 (<< 3.${next_minor})")  # its interface is of one version
refrain_package(python python3-refrain python
  "recurrent networks, compiled and run on CPUs (Python module)
Loads models and runs them on arrays of numpy and of what has DLPack."
  "${same_version}, python3-numpy, ${this_python}")

include(CPack)
