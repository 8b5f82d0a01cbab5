/*
 * server/main.c - ashlard: from argv to an exit status.
 *
 * 0: served and stopped in good order, or printed what was asked for;
 * 1: could not serve, or stopped with work undone.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/daemonize.h"
#include "server/drivers-help.h"
#include "server/options.h"
#include "server/server.h"

static int
main_report(GError *take_error)
{
    g_autoptr(GError) error = take_error;

    fprintf(stderr, "ashlard: %s\n", error->message);
    return EXIT_FAILURE;
}

static int
main_serve(const ServerOptions *opts)
{
    GError *error = NULL;
    int ready = -1;

    if ((opts->daemonize && !server_daemonize(&ready, &error)) ||
        !server_run(opts, ready, &error)) {
        return main_report(error);
    }
    return EXIT_SUCCESS;
}

static int
main_act(const ServerOptions *opts)
{
    GError *error = NULL;

    switch (opts->action) {
    case SERVER_ACTION_RUN:
        return main_serve(opts);
    case SERVER_ACTION_HELP:
        server_options_print_help(stdout);
        break;
    case SERVER_ACTION_VERSION:
        printf("ashlard %s\n", ASHLAR_VERSION);
        break;
    case SERVER_ACTION_LIST_DRIVERS:
        server_print_drivers(stdout);
        break;
    case SERVER_ACTION_FORGET_FAILURE:
        if (!server_forget_failure(opts->forget_file, opts->state_dir,
                                   &error)) {
            return main_report(error);
        }
        break;
    }
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int
main(int argc, char **argv)
{
    ServerOptions opts;
    GError *error = NULL;
    int code;

    if (!server_open_standard_fds(&error)) {
        return main_report(error);
    }
    if (!server_options_parse(&opts, argc, argv, &error)) {
        main_report(error);
        fprintf(stderr, "Try 'ashlard --help'.\n");
        code = EXIT_FAILURE;
    } else {
        ash_log_set_level((AshLogLevel)opts.log_level);
        code = main_act(&opts);
    }
    server_options_done(&opts);
    return code;
}
