# The warning set and the hardening flags, once, for every target of ours.
add_library(ashlar_flags INTERFACE)
target_compile_options(ashlar_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C>:-std=gnu17>
    -Wall -Wextra -Werror
    $<$<COMPILE_LANGUAGE:C>:-Wconversion -Wsign-conversion -Wshadow
    -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla -Wformat=2
    -Wframe-larger-than=4096>
    -fno-common -fvisibility=hidden -fno-omit-frame-pointer
    -fno-strict-aliasing -fPIE
    # GCC 12.2 writes some loops' addresses as "null plus offset" (ivopts), takes
    # the accesses for undefined, the function for pure, and drops calls of it.
    $<$<C_COMPILER_ID:GNU>:-fno-delete-null-pointer-checks>)
target_compile_definitions(ashlar_flags INTERFACE
    _GNU_SOURCE G_LOG_DOMAIN="ashlar"
    $<$<BOOL:${ASHLAR_SLOW_ASSERTS}>:ASH_SLOW_ASSERTS=1>)
target_include_directories(ashlar_flags INTERFACE
    "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}/gen")
target_link_options(ashlar_flags INTERFACE -pie)

# The coroutine switch tells no shadow stack.  This mark is for whole programs.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    target_compile_options(ashlar_flags INTERFACE -fcf-protection=none)
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(ashlar_flags INTERFACE
        -O2 -g -flto=auto -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
        -fstack-protector-strong -fstack-clash-protection)
    target_link_options(ashlar_flags INTERFACE -O2 -flto=auto
        -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
endif()
