# Read by upstream's own CMake project right after its project() call
# (CMAKE_PROJECT_ninja_INCLUDE), so that the launcher library is linked in
# without an edit to upstream's CMakeLists.txt.

find_package(PkgConfig REQUIRED)
pkg_check_modules(LAUNCHER_NEEDS REQUIRED IMPORTED_TARGET ${LAUNCHER_PKG_CONFIG_MODULES})
find_package(Threads REQUIRED)

function(link_launcher)
  target_sources(libninja PRIVATE ${CMAKE_SOURCE_DIR}/src/launch_tool.cc)
  # libninja is an object library; PUBLIC hands this on to ninja, ninja_test
  # and whatever else upstream links from it.
  target_include_directories(libninja PUBLIC ${LAUNCHER_INCLUDE_DIR})
  target_link_libraries(libninja PUBLIC
    ${LAUNCHER_LIBRARY} PkgConfig::LAUNCHER_NEEDS Threads::Threads)
endfunction()

# At the end of upstream's file: only then does the target libninja exist.
cmake_language(DEFER CALL link_launcher)
