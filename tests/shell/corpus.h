// Command lines as generators of build files write them.
//
// SPDX-License-Identifier: Apache-2.0

#ifndef TESTS_SHELL_CORPUS_H_
#define TESTS_SHELL_CORPUS_H_

namespace shell_fuzz {

/// Their programs are witnesses, their directories those of a Sandbox.
inline constexpr const char* kCorpus[] = {
    // CMake: compile, link, archive, custom commands.
    R"(@R@/bin/c++ -DVERSION=\"1.2.3\" -DX -I@W@/real -isystem "@W@/a b" -O3 -DNDEBUG -std=gnu++20 -MD -MT CMakeFiles/x.dir/a.cc.o -MF CMakeFiles/x.dir/a.cc.o.d -o CMakeFiles/x.dir/a.cc.o -c @W@/real/a.cc)",
    R"(@R@/bin/cc -Dfoo_EXPORTS -D'NAME="a b"' -fPIC -o x.o -c x.c)",
    R"(: && @R@/bin/c++ -O3 -DNDEBUG -rdynamic a.o b.o -o bin/x -Wl,-rpath,@W@/lib: lib/liby.so && :)",
    R"(: && @R@/bin/c++ -fPIC -shared -Wl,-soname,liby.so.1 -o liby.so.1.0 a.o && :)",
    R"(: && @R@/bin/cmake -E rm -f lib.a && @R@/bin/ar qc lib.a a.o b.o && @R@/bin/ranlib lib.a && :)",
    R"(: && @R@/bin/cmake -E rm -f lib.a && @R@/bin/ar qc lib.a  a.o && @R@/bin/ranlib lib.a && @R@/bin/cmake -E touch lib.a && :)",
    R"(@R@/bin/cmake -E cmake_symlink_library liby.so.1.0 liby.so.1 liby.so && :)",
    R"(cd @W@/real && @R@/bin/cmake -E touch stamp)",
    R"(cd @W@ && @R@/bin/python3.0 @W@/gen.py --out @W@/real/gen.h "--name=a b" \$ENV)",
    R"(cd "@W@/a b" && "@R@/bin/cmake" -E copy_if_different a.h b.h && @R@/bin/cmake -E touch x)",
    R"(cd @W@/real/deep && @R@/bin/cmake -D IN=x -P @W@/real/y.cmake > log.txt 2>&1)",
    R"(cd @W@/real && @R@/bin/ninja -C sub && cd @W@ && @R@/bin/touch done)",
    R"(@R@/bin/cmake --regenerate-during-build -S@W@ -B@W@/real)",
    R"(@R@/bin/cmake -DCMAKE_INSTALL_LOCAL_ONLY=1 -P cmake_install.cmake)",
    R"(cd @W@ && @R@/bin/moc -I@W@ -DQT_NO_KEYWORDS -o moc_x.cpp x.h --include ./predefs.h)",
    R"(@R@/bin/cmake -E cmake_ninja_dyndep --tdi=CMakeFiles/x.dir/CXXDependInfo.json --lang=CXX --modmapfmt=gcc --dd=CXX.dd @CXX.dd.rsp)",
    R"("@R@/bin/clang" -E -x c++ a.cc -MT a.ddi -MD -MF a.ddi.d > a.ddi.i)",
    R"(@R@/bin/cmake -E env PYTHONPATH=@W@ LC_ALL=C @R@/bin/python3.0 x.py)",
    // Meson.
    R"(cc -Ix.p -I. -I.. -fdiagnostics-color=always -D_FILE_OFFSET_BITS=64 -Wall -Winvalid-pch -O2 -g '-DPKG="x"' -MD -MQ x.p/a.c.o -MF x.p/a.c.o.d -o x.p/a.c.o -c ../a.c)",
    R"(c++  -o x x.p/a.cc.o -Wl,--as-needed -Wl,--no-undefined '-Wl,-rpath,$ORIGIN/' -Wl,-rpath-link,@W@/real -Wl,--start-group libx.so -Wl,--end-group)",
    R"(rm -f libx.a && gcc-ar csrDT libx.a x.p/a.o x.p/b.o)",
    R"(@R@/bin/meson --internal exe --capture config.h -- @R@/bin/python3.0 ../gen.py)",
    R"(@R@/bin/meson --internal symbolextractor @W@ libx.so.0 libx.so.0 libx.so.0.p/libx.so.0.symbols)",
    R"(@R@/bin/python3.0 '../a b/gen.py' '--flag=x y' "" '' -- '@OUTPUT@')",
    R"(@R@/bin/env CC=cc CFLAGS='-O2 -g' @R@/bin/meson test)",
    R"(PYTHONPATH=.. LC_ALL=C @R@/bin/glib-mkenums --template ../x.h.in ../y.h)",
    R"(@R@/bin/msgfmt -o po/de.gmo ../po/de.po)",
    // GN, Chromium.
    R"(python3.0 ../../build/toolchain/gcc_solink_wrapper.py --readelf="readelf" --nm="nm"  --sofile="./libx.so" --tocfile="./libx.so.TOC" --output="./libx.so" -- clang -shared -Wl,-soname="libx.so" -o "./libx.so" @"./libx.so.rsp")",
    R"(clang -MMD -MF obj/x/a.o.d -DUSE_AURA=1 -D__STDC_CONSTANT_MACROS -DCR_CLANG_REVISION=\"llvmorg-15-init\" -D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_EXTENSIVE -I../.. -Igen -fno-delete-null-pointer-checks -std=c++20 -Wno-trigraphs -c ../../a.cc -o obj/x/a.o)",
    R"(rm -f obj/x/libx.a && ar -T -S -r -c -D obj/x/libx.a @"obj/x/libx.a.rsp")",
    R"(python3.0 ../../build/gn_run_binary.py ./protoc --cc_out gen/x a.proto)",
    R"(touch obj/x/inputs.stamp)",
    R"(ln -f ../../a b 2>/dev/null)",
    R"(ln -f a b 2>/dev/null || (rm -rf b && cp -af a b))",
    R"(TOOL_VERSION=1700000000 ../../bin/p0 "clang++" -Wl,--fatal-warnings -o "./x" -Wl,--start-group @"./x.rsp"  -Wl,--end-group)",
    // Autotools and hand-written makefiles.
    R"(/bin/sh ../libtool  --tag=CC   --mode=compile gcc-12 -c a.c)",
    R"(gcc-12 -DHAVE_CONFIG_H -I. -I..   -DLOCALEDIR=\"/usr/share/locale\" -g -O2 -MT a.o -MD -MP -MF .deps/a.Tpo -c -o a.o a.c)",
    R"(gcc-12 -DPACKAGE_STRING=\"x\ 1.0\" -DPACKAGE_URL=\"\" -c a.c && touch a.o)",
    R"(cd .. && p0 a.c && cd w && p0 b.c)",
    R"(cd real && cc -c ../a.c -o a.o && ar rcs lib.a a.o)",
    R"(rm -f a.o b.o "c d.o" && mkdir -p real/deep)",
    R"(cat file > real/x && cat file >> real/x)",
    R"(sort < file > out2 2> errors)",
    R"(p0 >/dev/null 2>&1)",
    R"(p0 < /dev/null > log 2>&1 && touch stamp)",
    R"(p0 2>&1 >log)",
    R"(p1 > log 2>&1 || (cat log && false))",
    R"(test -f file && p0 || p7)",
    R"(echo '#define X "1"' > x.h)",
    R"(printf '%s\n' a b > list)",
    R"(if test -d real; then p0; fi)",
    R"(for i in 1 2 3; do p0 $i; done)",
    R"(p0 | sort > x)",
    R"(LD_LIBRARY_PATH=@W@/real:/usr/lib p0 --test)",
    R"(A=1 B='2 3' C="4 $HOME" p0)",
    R"(exec @R@/bin/p0 a b)",
    R"(cd real&&exec p7 x >log)",
    R"(p0 a\
 b \
  c)",
    R"(@R@/bin/install -c -m 644 'a b' "c d" e\ f real)",
    R"(perl -e 'print "a\n" x 3;' -- "\"quoted\"" \'single\')",
    R"(@R@/bin/rustc --crate-name x --edition=2021 src/main.rs --cfg 'feature="default"' -C metadata=ab12 --out-dir real -L dependency=@W@/deps)",
    R"(p0 -DA='"x"' -DB="\"y\"" -DC=\'z\' -D"D(x)=1" -D'E(x)=$x' -DF=a\;b)",
    R"(windres -O coff -DVER=1,2,3,4 x.rc x.res && strip x.res && true)",
};

}  // namespace shell_fuzz

#endif  // TESTS_SHELL_CORPUS_H_
