#include "tests/unit/blockcore/test-blockcore.h"
void
test_fallback_add(void)
{
}
