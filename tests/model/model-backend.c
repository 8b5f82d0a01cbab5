/*
 * tests/model/model-backend.c - what the daemon is made to serve.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "base/bits.h"
#include "tests/model/model.h"

#define MODEL_ERRORS                        \
    "inject-error.0.iotype=read,"           \
    "inject-error.0.probability-ppm=20000," \
    "inject-error.1.iotype=write,"          \
    "inject-error.1.probability-ppm=20000," \
    "inject-error.2.iotype=write-zeroes,"   \
    "inject-error.2.probability-ppm=20000," \
    "inject-error.3.iotype=discard,"        \
    "inject-error.3.probability-ppm=20000," \
    "inject-error.4.short=on,inject-error.4.probability-ppm=200000"

const ModelBackend model_backends[] = {
    {
        .name = "null-co",
        .blockdev = "driver=null-co,node-name=d,size=SIZE",
        .forgets = true,
    },
    {
        .name = "file-io_uring",
        .blockdev = "driver=file,node-name=d,filename=FILE,aio=io_uring",
    },
    {
        .name = "file-threads",
        .blockdev = "driver=file,node-name=d,filename=FILE,aio=threads",
    },
    {
        .name = "file-libaio-direct",
        .blockdev = "driver=file,node-name=d,filename=FILE,aio=native,"
                    "cache.direct=on",
    },
    {
        .name = "file-io_uring-direct",
        .blockdev = "driver=file,node-name=d,filename=FILE,aio=io_uring,"
                    "cache.direct=on",
    },
    {
        .name = "window",
        .blockdev = "driver=raw,node-name=d,offset=START,size=SIZE,"
                    "file.driver=file,file.filename=FILE",
        .window = true,
    },
    {
        .name = "window-direct",
        .blockdev = "driver=raw,node-name=d,offset=START,size=SIZE,"
                    "file.driver=file,file.filename=FILE,"
                    "file.cache.direct=on",
        .window = true,
    },
    {
        .name = "errors",
        .blockdev = "driver=fault,node-name=d,seed=SEED," MODEL_ERRORS ","
                    "file.driver=file,file.filename=FILE",
        .fails = true,
    },
    {
        .name = "limits",
        .blockdev = "driver=fault,node-name=d,seed=SEED,align=4096,"
                    "max-transfer=64k,opt-write-zero=8k,max-write-zero=64k,"
                    "opt-discard=16k,max-discard=64k,"
                    "file.driver=file,file.filename=FILE",
    },
    {
        .name = "disorder",
        .blockdev = "driver=fault,node-name=d,seed=SEED,"
                    "inject-error.0.delay-ns=3000000,"
                    "inject-error.0.probability-ppm=300000,"
                    "file.driver=raw,file.file.driver=file,"
                    "file.file.filename=FILE",
    },
    {
        .name = "detect-zeroes",
        .blockdev = "driver=file,node-name=d,filename=FILE,"
                    "detect-zeroes=unmap",
    },
    {
        .name = "no-discard",
        .blockdev = "driver=raw,node-name=d,discard=ignore,"
                    "file.driver=file,file.filename=FILE,"
                    "file.cache.no-flush=on",
    },
    {
        .name = "read-only",
        .blockdev = "driver=file,node-name=d,filename=FILE,read-only=on",
        .read_only = true,
    },
};
const unsigned model_n_backends = ASH_N_ELEMENTS(model_backends);
