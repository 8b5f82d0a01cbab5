# ashlar_library(NAME SOURCES file... DEPENDS target...): the only way to make
# a library.  One static library per folder, named ashlar-NAME.
function(ashlar_library name)
    cmake_parse_arguments(ARG "" "" "SOURCES;DEPENDS" ${ARGN})
    add_library(ashlar-${name} STATIC ${ARG_SOURCES})
    target_link_libraries(ashlar-${name} PUBLIC ashlar_flags ${ARG_DEPENDS})
    set_target_properties(ashlar-${name} PROPERTIES OUTPUT_NAME ${name})
endfunction()

# ashlar_unit_test(LAYER SOURCES file... LIBS target...): one binary a layer.
function(ashlar_unit_test layer)
    cmake_parse_arguments(ARG "" "" "SOURCES;LIBS" ${ARGN})
    add_executable(unit-${layer} ${ARG_SOURCES})
    target_link_libraries(unit-${layer} PRIVATE ashlar_flags ${ARG_LIBS})
    add_test(NAME unit-${layer} COMMAND unit-${layer})
    set_tests_properties(unit-${layer} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()
