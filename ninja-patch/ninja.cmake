# Builds Ninja twice from one upstream source: as it is (bin/ninja-upstream, to
# compare with) and with overlay/ and patches/ on the launcher library
# (bin/ninja, and with BUILD_TESTING upstream's suite as bin/ninja_test).
#
# Needs NINJA_TARBALL (a tarball or an unpacked directory, already verified) and
# the target launcher_static. Gives to the tests: NINJA_BINARY,
# NINJA_UPSTREAM_BINARY, NINJA_TEST_BINARY, NINJA_SOURCE_DIR (unpatched tree).

include(ExternalProject)
include(GNUInstallDirs)
find_package(Python3 REQUIRED COMPONENTS Interpreter)

set(NINJA_WORK_DIR ${CMAKE_BINARY_DIR}/ninja)
set(NINJA_SOURCE_DIR ${NINJA_WORK_DIR}/upstream)
set(NINJA_BINARY ${CMAKE_BINARY_DIR}/bin/ninja)
set(NINJA_UPSTREAM_BINARY ${CMAKE_BINARY_DIR}/bin/ninja-upstream)
set(NINJA_TEST_BINARY ${CMAKE_BINARY_DIR}/bin/ninja_test)
if(NOT DEFINED LAUNCHER_PKG_CONFIG_MODULES)
  set(LAUNCHER_PKG_CONFIG_MODULES re2)
endif()
list(JOIN LAUNCHER_PKG_CONFIG_MODULES "," launcher_modules)

# Runs in every build and does nothing when nothing changed: it looks at the
# files themselves, so that no list of them is needed here.
add_custom_target(ninja_sources
  COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/apply.py
          --pristine --source ${NINJA_TARBALL} --out ${NINJA_SOURCE_DIR}
  COMMAND Python3::Interpreter ${CMAKE_CURRENT_LIST_DIR}/apply.py
          --source ${NINJA_TARBALL} --out ${NINJA_WORK_DIR}/patched
  VERBATIM)

# Both builds get the same compiler and flags; the overlay needs C++20.
set(NINJA_FLAGS
  -DCMAKE_BUILD_TYPE=Release
  -DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}
  -DCMAKE_CXX_FLAGS=${CMAKE_CXX_FLAGS}
  -DCMAKE_CXX_STANDARD=20
  -DNINJA_PYTHON=python3
  -DRE2C=OFF                            # the lexers come ready made
  -DFETCHCONTENT_FULLY_DISCONNECTED=ON) # GoogleTest is the system's or none

# Under make the sub-build takes part in the jobserver of the outer one.
if(CMAKE_GENERATOR MATCHES "Makefiles")
  set(build_ninja $(MAKE))
else()
  set(build_ninja ${CMAKE_COMMAND} --build . --target)
endif()

ExternalProject_Add(ninja_upstream
  PREFIX ${NINJA_WORK_DIR}/steps-upstream
  SOURCE_DIR ${NINJA_SOURCE_DIR}
  BINARY_DIR ${NINJA_WORK_DIR}/build-upstream
  DOWNLOAD_COMMAND ""
  DEPENDS ninja_sources
  CMAKE_ARGS ${NINJA_FLAGS} -DBUILD_TESTING=OFF
  BUILD_ALWAYS ON
  BUILD_COMMAND ${build_ninja} ninja
  INSTALL_COMMAND ${CMAKE_COMMAND} -E copy_if_different ninja ${NINJA_UPSTREAM_BINARY}
  BUILD_BYPRODUCTS ${NINJA_UPSTREAM_BINARY})

set(patched_targets ninja)
if(BUILD_TESTING)
  list(APPEND patched_targets ninja_test)
endif()
ExternalProject_Add(ninja_patched
  PREFIX ${NINJA_WORK_DIR}/steps-patched
  SOURCE_DIR ${NINJA_WORK_DIR}/patched
  BINARY_DIR ${NINJA_WORK_DIR}/build-patched
  DOWNLOAD_COMMAND ""
  DEPENDS ninja_sources launcher_static
  LIST_SEPARATOR ,
  CMAKE_ARGS ${NINJA_FLAGS} -DBUILD_TESTING=${BUILD_TESTING}
    -DCMAKE_RUNTIME_OUTPUT_DIRECTORY=${CMAKE_BINARY_DIR}/bin
    -DCMAKE_PROJECT_ninja_INCLUDE=${CMAKE_CURRENT_LIST_DIR}/inject.cmake
    -DLAUNCHER_LIBRARY=$<TARGET_FILE:launcher_static>
    -DLAUNCHER_INCLUDE_DIR=${CMAKE_CURRENT_SOURCE_DIR}/launcherd/include
    -DLAUNCHER_PKG_CONFIG_MODULES=${launcher_modules}
  BUILD_ALWAYS ON
  BUILD_COMMAND ${build_ninja} ${patched_targets}
  INSTALL_COMMAND ""
  BUILD_BYPRODUCTS ${NINJA_BINARY} ${NINJA_TEST_BINARY})

install(PROGRAMS ${NINJA_BINARY} DESTINATION ${CMAKE_INSTALL_BINDIR})
