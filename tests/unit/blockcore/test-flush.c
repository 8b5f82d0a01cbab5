#include "tests/unit/blockcore/test-blockcore.h"
void
test_flush_add(void)
{
}
