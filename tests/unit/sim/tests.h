/*
 * tests/unit/sim/tests.h - the tests of the simulated world, by module.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#pragma once

void test_sim_disk_add(void);
void test_sim_loop_add(void);
void test_sim_net_add(void);
void test_sim_oracle_add(void);
void test_sim_store_add(void);
