# ASHLAR_SANITIZE=address,undefined | thread; what libFuzzer steers by; coverage.
if(ASHLAR_SANITIZE)
    target_compile_options(ashlar_flags INTERFACE
        -fsanitize=${ASHLAR_SANITIZE} -fno-sanitize-recover=all
        # Frames have redzones, and not those that serve.
        $<$<COMPILE_LANGUAGE:C>:-Wframe-larger-than=8192>)
    target_link_options(ashlar_flags INTERFACE -fsanitize=${ASHLAR_SANITIZE})
endif()
if(ASHLAR_FUZZ)
    target_compile_options(ashlar_flags INTERFACE -fsanitize=fuzzer-no-link)
    target_link_options(ashlar_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(ASHLAR_COVERAGE)
    target_compile_options(ashlar_flags INTERFACE --coverage)
    target_link_options(ashlar_flags INTERFACE --coverage)
endif()
