/*
 * server/socket-inet.c - TCP sockets; see server/socket.h.
 *
 * Method: the resolver says which numbers a name has; each gets a socket.  A
 * family that this machine lacks is passed over as long as one socket stays.
 * IPv6 sockets are for IPv6 only, so "" gives one of each and neither takes
 * the other's port.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include "server/socket.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/socket-priv.h"

static int
server_inet_family(const ConfAddr *addr)
{
    bool v4 = addr->ipv4 == CONF_ON ||
              (addr->ipv4 == CONF_UNSET && addr->ipv6 != CONF_ON);
    bool v6 = addr->ipv6 == CONF_ON ||
              (addr->ipv6 == CONF_UNSET && addr->ipv4 != CONF_ON);

    if (v4 && v6) {
        return AF_UNSPEC;
    }
    return v4 ? AF_INET : AF_INET6;
}

static struct addrinfo *
server_inet_resolve(const ConfAddr *addr, GError **error)
{
    struct addrinfo hints = {
        .ai_family = server_inet_family(addr),
        .ai_socktype = SOCK_STREAM,
        .ai_flags = AI_PASSIVE,
    };
    struct addrinfo *list = NULL;
    int code = getaddrinfo(addr->host[0] != '\0' ? addr->host : NULL,
                           addr->port, &hints, &list);

    if (code == 0) {
        return list;
    }
    if (code == EAI_SYSTEM) {
        ash_set_error_errno(error, errno, "can't look up the address");
    } else {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFIG,
                    "can't look up the address: %s", gai_strerror(code));
    }
    return NULL;
}

/* The fd, -1 and errno. */
static int
server_inet_listen(const struct addrinfo *ai)
{
    static const int on = 1;
    int fd =
        socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return -1;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (ai->ai_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
        bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 &&
        listen(fd, SERVER_BACKLOG) == 0) {
        return fd;
    }
    close(fd);
    return -1;
}

/* Was this very number in the list before? */
static bool
server_inet_is_repeated(const struct addrinfo *list, const struct addrinfo *ai)
{
    for (; list != ai; list = list->ai_next) {
        if (list->ai_addrlen == ai->ai_addrlen &&
            memcmp(list->ai_addr, ai->ai_addr, ai->ai_addrlen) == 0) {
            return true;
        }
    }
    return false;
}

static bool
server_inet_open_one(const struct addrinfo *ai, GPtrArray *ret, int *ret_lack,
                     GError **error)
{
    int fd = server_inet_listen(ai);
    int err = errno;
    char host[NI_MAXHOST] = "?";

    if (fd >= 0) {
        g_ptr_array_add(ret, server_socket_new(fd, ai->ai_family));
        return true;
    }
    if (err == EAFNOSUPPORT ||
        (err == EADDRNOTAVAIL && ai->ai_family == AF_INET6)) {
        *ret_lack = err;
        return true;
    }
    getnameinfo(ai->ai_addr, ai->ai_addrlen, host, sizeof(host), NULL, 0,
                NI_NUMERICHOST);
    if (err == EADDRINUSE) {
        g_set_error(error, ASH_ERROR, ASH_ERROR_CONFLICT,
                    "can't listen on %s: the port is in use", host);
    } else {
        ash_set_error_errno(error, err, "can't listen on %s", host);
    }
    return false;
}

bool
server_inet_open(const ConfAddr *addr, GPtrArray *ret, GError **error)
{
    struct addrinfo *list = server_inet_resolve(addr, error);
    bool ok = list != NULL;
    int lack = EADDRNOTAVAIL;

    for (struct addrinfo *ai = list; ok && ai; ai = ai->ai_next) {
        if (!server_inet_is_repeated(list, ai)) {
            ok = server_inet_open_one(ai, ret, &lack, error);
        }
    }
    if (ok && ret->len == 0) {
        ash_set_error_errno(error, lack, "can't listen");
        ok = false;
    }
    if (list) {
        freeaddrinfo(list);
    }
    return ok;
}
