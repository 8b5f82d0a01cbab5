#include "tests/unit/blockcore/test-blockcore.h"
void
test_drain_add(void)
{
}
