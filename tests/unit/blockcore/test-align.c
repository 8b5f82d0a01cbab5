#include "tests/unit/blockcore/test-blockcore.h"
void
test_align_add(void)
{
}
