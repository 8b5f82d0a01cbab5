#include "tests/unit/blockcore/test-blockcore.h"
void
test_tracked_add(void)
{
}
