/*
 * tests/scenario/guest/nbd-reconnect.c - attach /dev/nbd0 so that the kernel
 * waits for a lost server instead of failing requests.
 *
 *   nbd-reconnect ADDRESS PORT EXPORT SECONDS
 *
 * It attaches by netlink with NBD_ATTR_DEAD_CONN_TIMEOUT, goes into the
 * background, and gives the kernel a new connection each time it announces a
 * dead link.  nbd-client does neither.
 *
 * Source:  NBD doc/proto.md, fixed newstyle; linux/nbd-netlink.h.
 *
 * SPDX-License-Identifier: BSD-3-Clause
 */
#include <arpa/inet.h>
#include <endian.h>
#include <err.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define IHAVEOPT 0x49484156454f5054ULL
#define OPT_EXPORT_NAME 1U
#define NBD_INDEX 0U
#define ATTR_HEAD sizeof(struct nlattr)
_Static_assert(ATTR_HEAD % NLA_ALIGNTO == 0, "attributes need padding");

/* A netlink message under construction, or one received. */
typedef struct Message {
    struct nlmsghdr head;
    struct genlmsghdr genl;
    char attributes[2048];
} Message;

static void
read_all(int fd, void *buffer, size_t len)
{
    if (recv(fd, buffer, len, MSG_WAITALL) != (ssize_t)len) {
        errx(1, "server closed the connection");
    }
}

/* Returns a socket in transmission, or -1 when nobody listens. */
static int
nbd_dial(const char *address, uint16_t port, const char *export,
         uint64_t *ret_size, uint16_t *ret_flags)
{
    struct sockaddr_in where = { .sin_family = AF_INET,
                                 .sin_port = htons(port) };
    struct __attribute__((packed)) {
        uint64_t magic[2];
        uint16_t flags;
    } hello;
    struct __attribute__((packed)) {
        uint32_t flags;
        uint64_t magic;
        uint32_t option;
        uint32_t len;
        char name[256];
    } ask = { htobe32(3), htobe64(IHAVEOPT), htobe32(OPT_EXPORT_NAME),
              htobe32((uint32_t)strlen(export)), "" };
    struct __attribute__((packed)) {
        uint64_t size;
        uint16_t flags;
    } answer;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (strlen(export) >= sizeof(ask.name)) {
        errx(1, "export name too long");
    }
    inet_pton(AF_INET, address, &where.sin_addr);
    if (connect(fd, (struct sockaddr *)&where, sizeof(where)) < 0 ||
        recv(fd, &hello, sizeof(hello), MSG_WAITALL) != sizeof(hello)) {
        close(fd);
        return -1;
    }
    memcpy(ask.name, export, strlen(export));
    size_t len = sizeof(ask) - sizeof(ask.name) + strlen(export);
    if (write(fd, &ask, len) != (ssize_t)len) {
        close(fd);
        return -1;
    }
    read_all(fd, &answer, sizeof(answer));
    *ret_size = be64toh(answer.size);
    *ret_flags = be16toh(answer.flags);
    return fd;
}

static size_t
align(size_t len)
{
    return (len + 3) / 4 * 4;
}

/* Append an attribute. */
static struct nlattr *
put(Message *m, uint16_t type, const void *data, size_t len)
{
    struct nlattr *a = (void *)((char *)m + align(m->head.nlmsg_len));

    a->nla_type = type;
    a->nla_len = (uint16_t)(ATTR_HEAD + len);
    if (len > 0) {
        memcpy((char *)a + ATTR_HEAD, data, len);
    }
    m->head.nlmsg_len =
        (uint32_t)(align(m->head.nlmsg_len) + align(ATTR_HEAD + len));
    return a;
}

static void
put_u64(Message *m, uint16_t type, uint64_t value)
{
    put(m, type, &value, sizeof(value));
}

/* Close an attribute that holds those put after it. */
static void
put_end(Message *m, struct nlattr *outer)
{
    outer->nla_len = (uint16_t)((char *)m + m->head.nlmsg_len - (char *)outer);
}

static void
start(Message *m, uint16_t family, uint8_t command)
{
    memset(m, 0, sizeof(*m));
    m->head.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN;
    m->head.nlmsg_type = family;
    m->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    m->genl.cmd = command;
    m->genl.version = 1;
}

/* Send @m and return the first answer in @m; an error ends the program. */
static void
talk(int netlink, Message *m)
{
    if (send(netlink, m, m->head.nlmsg_len, 0) < 0 ||
        recv(netlink, m, sizeof(*m), 0) < 0) {
        err(1, "netlink");
    }
    if (m->head.nlmsg_type == NLMSG_ERROR) {
        int error = *(int *)NLMSG_DATA(&m->head);
        if (error != 0) {
            errx(1, "netlink: %s", strerror(-error));
        }
    }
}

static int
open_netlink(void)
{
    struct sockaddr_nl any = { .nl_family = AF_NETLINK };
    int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);

    if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0) {
        err(1, "netlink");
    }
    return fd;
}

/* The attribute @type in @len bytes at @a, or NULL. */
static struct nlattr *
find(void *at, size_t len, uint16_t type)
{
    char *p = at;
    char *end = p + len;

    while (p + ATTR_HEAD <= end) {
        struct nlattr *a = (void *)p;
        if ((a->nla_type & NLA_TYPE_MASK) == type) {
            return a;
        }
        p += align(a->nla_len);
    }
    return NULL;
}

/* The numbers of the family "nbd" and of its one multicast group. */
static void
resolve(uint16_t *ret_family, uint32_t *ret_group)
{
    Message m;
    int netlink = open_netlink();

    start(&m, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);
    put(&m, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME,
        sizeof(NBD_GENL_FAMILY_NAME));
    talk(netlink, &m);
    size_t len = m.head.nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
    struct nlattr *family = find(m.attributes, len, CTRL_ATTR_FAMILY_ID);
    struct nlattr *groups = find(m.attributes, len, CTRL_ATTR_MCAST_GROUPS);
    if (!family || !groups) {
        errx(1, "the kernel has no netlink family nbd");
    }
    struct nlattr *first = (void *)((char *)groups + ATTR_HEAD);
    struct nlattr *group =
        find((char *)first + ATTR_HEAD, first->nla_len - ATTR_HEAD,
             CTRL_ATTR_MCAST_GRP_ID);
    memcpy(ret_family, (char *)family + ATTR_HEAD, sizeof(*ret_family));
    memcpy(ret_group, (char *)group + ATTR_HEAD, sizeof(*ret_group));
    close(netlink);
}

/* Give the kernel @sock with @command, CONNECT or RECONFIGURE. */
static void
hand_over(uint16_t family, uint8_t command, int sock, uint64_t size,
          uint16_t flags, uint64_t seconds)
{
    Message m;
    uint32_t index = NBD_INDEX;
    uint32_t fd = (uint32_t)sock;
    int netlink = open_netlink();

    start(&m, family, command);
    put(&m, NBD_ATTR_INDEX, &index, sizeof(index));
    put_u64(&m, NBD_ATTR_SIZE_BYTES, size);
    put_u64(&m, NBD_ATTR_BLOCK_SIZE_BYTES, 512);
    put_u64(&m, NBD_ATTR_SERVER_FLAGS, flags);
    put_u64(&m, NBD_ATTR_TIMEOUT, seconds);
    put_u64(&m, NBD_ATTR_DEAD_CONN_TIMEOUT, seconds);
    struct nlattr *sockets = put(&m, NBD_ATTR_SOCKETS | NLA_F_NESTED, NULL, 0);
    struct nlattr *item = put(&m, NBD_SOCK_ITEM | NLA_F_NESTED, NULL, 0);
    put(&m, NBD_SOCK_FD, &fd, sizeof(fd));
    put_end(&m, item);
    put_end(&m, sockets);
    talk(netlink, &m);
    close(netlink);
    close(sock);
}

static uint64_t
number(const char *text)
{
    uint64_t n = 0;

    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || n > 1000000) {
            errx(2, "bad number '%s'", text);
        }
        n = n * 10 + (uint64_t)(*c - '0');
    }
    return n;
}

int
main(int argc, char **argv)
{
    uint16_t family;
    uint32_t group;
    uint64_t size;
    uint16_t flags;
    Message m;

    if (argc != 5) {
        errx(2, "usage: nbd-reconnect ADDRESS PORT EXPORT SECONDS");
    }
    uint16_t port = (uint16_t)number(argv[2]);
    uint64_t seconds = number(argv[4]);
    resolve(&family, &group);
    int events = open_netlink();
    if (setsockopt(events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group,
                   sizeof(group)) < 0) {
        err(1, "join the nbd multicast group");
    }
    int sock = nbd_dial(argv[1], port, argv[3], &size, &flags);
    if (sock < 0) {
        errx(1, "no server at %s port %s", argv[1], argv[2]);
    }
    hand_over(family, NBD_CMD_CONNECT, sock, size, flags, seconds);
    if (daemon(0, 1) < 0) {
        err(1, "daemon");
    }
    while (recv(events, &m, sizeof(m), 0) > 0) {
        if (m.head.nlmsg_type != family || m.genl.cmd != NBD_CMD_LINK_DEAD) {
            continue;
        }
        printf("GUEST link dead\n");
        fflush(stdout);
        while ((sock = nbd_dial(argv[1], port, argv[3], &size, &flags)) < 0) {
            poll(NULL, 0, 20);
        }
        hand_over(family, NBD_CMD_RECONFIGURE, sock, size, flags, seconds);
        printf("GUEST reconnected\n");
        fflush(stdout);
    }
    return 0;
}
