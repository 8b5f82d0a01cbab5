# ASHLAR_SANITIZE=address,undefined | thread | fuzzer,address, and coverage.
if(ASHLAR_SANITIZE)
    target_compile_options(ashlar_flags INTERFACE
        -fsanitize=${ASHLAR_SANITIZE} -fno-sanitize-recover=all)
    target_link_options(ashlar_flags INTERFACE -fsanitize=${ASHLAR_SANITIZE})
endif()
if(ASHLAR_COVERAGE)
    target_compile_options(ashlar_flags INTERFACE --coverage)
    target_link_options(ashlar_flags INTERFACE --coverage)
endif()
