/*
 * server/socket.c - see server/socket.h.  The kinds of address are in
 * socket-inet.c and socket-unix.c; inherited ones and URIs are here.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/parse.h"
#include "server/socket-priv.h"

typedef union ServerSockaddr {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
    struct sockaddr_storage storage;
} ServerSockaddr;

ServerSocket *
server_socket_new(int take_fd, int family)
{
    ServerSocket *sock = g_new0(ServerSocket, 1);

    sock->fd = take_fd;
    sock->family = family;
    return sock;
}

void
server_socket_remove_file(const ServerSocket *sock)
{
    struct stat st;

    if (sock->file && lstat(sock->file, &st) == 0 && S_ISSOCK(st.st_mode) &&
        st.st_dev == sock->file_dev && st.st_ino == sock->file_ino) {
        unlink(sock->file);
    }
}

void
server_socket_free(ServerSocket *sock)
{
    if (sock) {
        server_socket_remove_file(sock);
        close(sock->fd);
        g_free(sock->file);
        g_free(sock);
    }
}

static void
server_socket_free_cb(void *data)
{
    server_socket_free(data);
}

char *
server_addr_describe(const ConfAddr *addr)
{
    switch ((ConfAddrType)addr->type) {
    case CONF_ADDR_INET:
        return g_strdup_printf(strchr(addr->host, ':') ? "[%s]:%s" : "%s:%s",
                               addr->host[0] ? addr->host : "*", addr->port);
    case CONF_ADDR_UNIX:
        return g_strdup_printf(
            "%s socket '%s'", addr->abstract ? "abstract" : "unix", addr->path);
    case CONF_ADDR_FD:
        return g_strdup_printf("inherited descriptor %s", addr->fd);
    }
    ash_unreachable();
}

/* ---- inherited ---- */

static bool
server_fd_check(int fd, int *ret_family, GError **error)
{
    int listening = 0;
    int type = 0;
    socklen_t len = sizeof(int);

    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0) {
        int err = errno;

        if (err == ENOTSOCK) {
            g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                        "it is not a socket");
        } else {
            ash_set_error_errno(error, err, "can't use it");
        }
        return false;
    }
    len = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) < 0 ||
        !listening || type != SOCK_STREAM) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "it is not a listening stream socket");
        return false;
    }
    len = sizeof(int);
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, ret_family, &len) < 0 ||
        (*ret_family != AF_INET && *ret_family != AF_INET6 &&
         *ret_family != AF_UNIX)) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "it is neither a TCP nor a unix socket");
        return false;
    }
    return true;
}

bool
server_fd_open(const ConfAddr *addr, GPtrArray *ret, GError **error)
{
    uint64_t number;
    int family;
    int fd;

    if (!ash_parse_uint(addr->fd, INT32_MAX, &number, error)) {
        return false;
    }
    if (!server_fd_check((int)number, &family, error)) {
        return false;
    }
    /* A copy above 2: the standard ones may be redirected later. */
    fd = fcntl((int)number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    if (fd < 0 || fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
        ash_set_error_errno(error, errno, "can't use it");
        if (fd >= 0) {
            close(fd);
        }
        return false;
    }
    if (number > STDERR_FILENO) {
        close((int)number);
    }
    g_ptr_array_add(ret, server_socket_new(fd, family));
    return true;
}

/* ---- all kinds ---- */

bool
server_sockets_open(const ConfAddr *addr, GPtrArray **ret, GError **error)
{
    g_autoptr(GPtrArray) sockets =
        g_ptr_array_new_with_free_func(server_socket_free_cb);
    g_autofree char *where = server_addr_describe(addr);
    bool ok = false;

    switch ((ConfAddrType)addr->type) {
    case CONF_ADDR_INET:
        ok = server_inet_open(addr, sockets, error);
        break;
    case CONF_ADDR_UNIX:
        ok = server_unix_open(addr, sockets, error);
        break;
    case CONF_ADDR_FD:
        ok = server_fd_open(addr, sockets, error);
        break;
    }
    if (!ok) {
        g_prefix_error(error, "%s: ", where);
        return false;
    }
    ash_assert(sockets->len > 0);
    *ret = g_steal_pointer(&sockets);
    return true;
}

/* ---- URIs ---- */

/* What may stand in the path of a URI beside letters and digits: "/" too, an
 * export's name may have some. */
#define SERVER_URI_PATH "!$&'()*+,;=:@/"

static char *
server_inet_uri(const ServerSockaddr *addr, socklen_t len, const char *name)
{
    char host[NI_MAXHOST];
    char port[NI_MAXSERV];
    const char *shown = host;

    if (getnameinfo(&addr->any, len, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return NULL;
    }
    if (strcmp(host, "0.0.0.0") == 0) {
        shown = "127.0.0.1";
    } else if (strcmp(host, "::") == 0) {
        shown = "::1";
    }
    return g_strdup_printf(strchr(shown, ':') ? "nbd://[%s]:%s/%s"
                                              : "nbd://%s:%s/%s",
                           shown, port, name);
}

static char *
server_unix_uri(const ServerSocket *sock, const ServerSockaddr *addr,
                socklen_t len, const char *name)
{
    g_autofree char *path = g_strdup(sock->file);
    g_autofree char *escaped = NULL;

    if (!path) { /* inherited: the kernel knows the name */
        size_t max = len - offsetof(struct sockaddr_un, sun_path);

        if (len <= offsetof(struct sockaddr_un, sun_path) ||
            addr->un.sun_path[0] != '/') {
            return NULL;
        }
        path = g_strndup(addr->un.sun_path, max);
    }
    escaped = g_uri_escape_bytes((const uint8_t *)path, strlen(path), "/");
    return g_strdup_printf("nbd+unix:///%s?socket=%s", name, escaped);
}

char *
server_socket_uri(const ServerSocket *sock, const char *export_name)
{
    ServerSockaddr addr = { 0 };
    socklen_t len = sizeof(addr);
    g_autofree char *name =
        g_uri_escape_string(export_name, SERVER_URI_PATH, FALSE);

    if (getsockname(sock->fd, &addr.any, &len) < 0) {
        return NULL;
    }
    if (sock->family == AF_UNIX) {
        return server_unix_uri(sock, &addr, len, name);
    }
    return server_inet_uri(&addr, len, name);
}
