# What every target of the project shares.

add_library(refrain_options INTERFACE)
target_compile_options(refrain_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion
  "$<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor;-Wold-style-cast>"
  # GCC 12 finds overlaps in std::string's operator+ that are not there (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(REFRAIN_WERROR)
  target_compile_options(refrain_options INTERFACE -Werror)
endif()
if(REFRAIN_SANITIZE)
  target_compile_options(refrain_options INTERFACE
    -fsanitize=${REFRAIN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  target_link_options(refrain_options INTERFACE -fsanitize=${REFRAIN_SANITIZE})
endif()

# refrain_layer(NAME SOURCES... USES LAYERS... LINKS LIBRARIES...)
#
# One library a layer. Headers are included as "LAYER/path.h"; each layer's include directory holds nothing
# but a link to that layer's folder, and a target sees only the directories of the layers that it USES,
# so that an include that the architecture forbids does not build. Their objects are compiled once, for programs as well
# as for the shared library (see library.cmake), which exports nothing but what is marked for it.
function(refrain_layer layer)
  cmake_parse_arguments(ARG "" "" "SOURCES;USES;LINKS" ${ARGN})
  set(root ${PROJECT_BINARY_DIR}/layers/${layer})
  file(MAKE_DIRECTORY ${root})
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/${layer} ${root}/${layer} SYMBOLIC)
  if(REFRAIN_SANITIZE)  # A hundred test programs with their debug information take minutes to link otherwise.
    add_library(refrain_${layer} SHARED ${ARG_SOURCES})
    # What the API keeps to itself is hidden; here, what holds it is not.
    target_compile_options(refrain_${layer} PRIVATE -Wno-attributes)
  else()
    add_library(refrain_${layer} STATIC ${ARG_SOURCES})
    set_target_properties(refrain_${layer} PROPERTIES
      POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  endif()
  target_include_directories(refrain_${layer} PUBLIC ${root})
  list(TRANSFORM ARG_USES PREPEND refrain_)
  target_link_libraries(refrain_${layer} PUBLIC ${ARG_USES} PRIVATE refrain_options ${ARG_LINKS})
  set_property(GLOBAL APPEND PROPERTY REFRAIN_LINKS ${ARG_LINKS})
endfunction()
