# The warning set and the hardening flags, once, for every target of ours.
add_library(ashlar_flags INTERFACE)
target_compile_options(ashlar_flags INTERFACE
    $<$<COMPILE_LANGUAGE:C>:-std=gnu17>
    -Wall -Wextra -Werror
    $<$<COMPILE_LANGUAGE:C>:-Wconversion -Wsign-conversion -Wshadow
    -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla -Wformat=2
    -Wframe-larger-than=4096>
    -fno-common -fvisibility=hidden -fno-omit-frame-pointer
    -fno-strict-aliasing -fPIE)
target_compile_definitions(ashlar_flags INTERFACE
    _GNU_SOURCE G_LOG_DOMAIN="ashlar"
    $<$<BOOL:${ASHLAR_SLOW_ASSERTS}>:ASH_SLOW_ASSERTS=1>)
target_include_directories(ashlar_flags INTERFACE
    "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}/gen")
target_link_options(ashlar_flags INTERFACE -pie)

if(CMAKE_BUILD_TYPE STREQUAL "Release")
    target_compile_options(ashlar_flags INTERFACE
        -O2 -g -flto=auto -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
        -fstack-protector-strong -fstack-clash-protection)
    target_link_options(ashlar_flags INTERFACE -O2 -flto=auto
        -Wl,-z,relro,-z,now,-z,noexecstack,-z,separate-code)
endif()
