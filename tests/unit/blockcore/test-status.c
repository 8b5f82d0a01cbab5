#include "tests/unit/blockcore/test-blockcore.h"
void
test_status_add(void)
{
}
