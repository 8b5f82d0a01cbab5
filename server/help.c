/*
 * server/help.c - ashlard --help; see server/options.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/options.h"

#include <string.h>

#define HELP_INDENT 26
#define HELP_WIDTH 79

static const char help_head[] =
    "ashlard serves disk images and block devices to NBD clients.\n"
    "\n"
    "Examples:\n"
    "\n"
    "  Serve a raw disk image on nbd://127.0.0.1:10809/ until Ctrl-C:\n"
    "    ashlard -f raw disk.img\n"
    "\n"
    "  The same for reading only, on a unix socket:\n"
    "    ashlard -f raw --socket /run/disk.sock --read-only disk.img\n"
    "\n"
    "  Look at it, copy it, mount it:\n"
    "    nbdinfo nbd://127.0.0.1:10809/\n"
    "    nbdcopy nbd://127.0.0.1:10809/ copy.img\n"
    "    nbd-client 127.0.0.1 /dev/nbd0\n"
    "\n"
    "  Part of an image with direct I/O, on a unix socket and on TCP:\n"
    "    ashlard \\\n"
    "      --blockdev driver=file,node-name=f,filename=disk.img,"
    "cache.direct=on \\\n"
    "      --blockdev driver=raw,node-name=d,file=f,offset=1M,size=10G \\\n"
    "      --nbd-server addr.type=unix,addr.path=/run/a.sock \\\n"
    "      --nbd-server id=lan,addr.type=inet,addr.host=::1,"
    "addr.port=10809 \\\n"
    "      --export type=nbd,id=e0,node-name=d,name=disk,writable=on\n";

static const char help_tail[] =
    "\n"
    "Names and values of --blockdev, --nbd-server and --export are\n"
    "KEY=VALUE,KEY=VALUE with ',,' for a comma in a value, or a JSON object.\n"
    "SIZE is in bytes or with a suffix k, M, G, T, P, E (powers of 1024).\n"
    "The manual page ashlard(8) says more.\n";

/* @text from column HELP_INDENT on, wrapped at blanks. */
static void
help_print_text(FILE *out, const char *text, size_t column)
{
    if (column + 2 > HELP_INDENT) {
        fputc('\n', out);
        column = 0;
    }
    while (*text != '\0') {
        size_t len = strcspn(text, " ");

        if (column > HELP_INDENT && column + 1 + len > HELP_WIDTH) {
            fputc('\n', out);
            column = 0;
        }
        if (column < HELP_INDENT) {
            fprintf(out, "%*s", (int)(HELP_INDENT - column), "");
            column = HELP_INDENT;
        } else {
            fputc(' ', out);
            column++;
        }
        fprintf(out, "%.*s", (int)len, text);
        column += len;
        text += len;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void
help_print_option(FILE *out, const ServerOption *row)
{
    g_autofree char *letter =
        row->letter ? g_strdup_printf("-%c, ", row->letter) : g_strdup("");
    g_autofree char *head =
        g_strdup_printf("  %s--%s%s%s", letter, row->name, row->arg ? " " : "",
                        row->arg ? row->arg : "");

    fputs(head, out);
    help_print_text(out, row->help ? row->help : "the same", strlen(head));
}

void
server_options_print_help(FILE *out)
{
    fputs(help_head, out);
    for (int section = 0; section < SERVER_N_SECTIONS; section++) {
        fprintf(out, "\n%s:\n", server_section_titles[section]);
        if (section == SERVER_SECTION_SHORT) {
            fputs("  ashlard -f FORMAT [OPTION...] FILE\n", out);
        }
        for (const ServerOption *row = server_option_table; row->name; row++) {
            if ((int)row->section == section) {
                help_print_option(out, row);
            }
        }
    }
    fputs(help_tail, out);
}
