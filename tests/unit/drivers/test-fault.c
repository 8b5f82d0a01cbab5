#include "tests/unit/drivers/test-drivers.h"
void
test_fault_add(void)
{
}
