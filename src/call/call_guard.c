/* call_guard.c - which addresses may be called.
 *
 * Public ones may: of IPv6 only 2000::/3 is, less what is set apart in it, and of IPv4 what the table leaves.  An address that
 * carries another (v4-mapped, NAT64) is as good as that; other ways of carrying one (6to4, Teredo, v4-compatible, a local
 * NAT64) are nobody's public service and refused as a whole.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "call/call_int.h"

#define V4_BITS 96 /* before an IPv4 address in our form */

static const uint8_t v4_mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
static const uint8_t nat64[12] = { 0, 0x64, 0xff, 0x9b };
static const struct call_net public_v6 = { { 0x20 }, 3 };

/* The registries of special addresses (RFC 6890 and what came after). */
static const struct {
	uint8_t b[4];
	int bits;
} special_v4[] = {
	{ { 0, 0, 0, 0 }, 8 },       /* this network */
	{ { 10, 0, 0, 0 }, 8 },      /* private */
	{ { 100, 64, 0, 0 }, 10 },   /* carrier's NAT */
	{ { 127, 0, 0, 0 }, 8 },     /* loopback */
	{ { 169, 254, 0, 0 }, 16 },  /* link-local, metadata of clouds */
	{ { 172, 16, 0, 0 }, 12 },   /* private */
	{ { 192, 0, 0, 0 }, 24 },    /* protocols */
	{ { 192, 0, 2, 0 }, 24 },    /* documentation */
	{ { 192, 88, 99, 0 }, 24 },  /* 6to4 relays */
	{ { 192, 168, 0, 0 }, 16 },  /* private */
	{ { 198, 18, 0, 0 }, 15 },   /* benchmarks */
	{ { 198, 51, 100, 0 }, 24 }, /* documentation */
	{ { 203, 0, 113, 0 }, 24 },  /* documentation */
	{ { 224, 0, 0, 0 }, 4 },     /* multicast */
	{ { 240, 0, 0, 0 }, 4 },     /* reserved, broadcast */
};
static const struct call_net special_v6[] = {
	{ { 0x20, 0x01 }, 23 },             /* protocols, with Teredo */
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32 }, /* documentation */
	{ { 0x20, 0x02 }, 16 },             /* 6to4 */
	{ { 0x3f, 0xff }, 20 },             /* documentation */
};

static bool
net_holds(const struct call_net *net, const uint8_t b[16])
{
	int whole = net->bits / 8, rest = net->bits % 8;

	if (memcmp(net->b, b, (size_t)whole) != 0)
		return false;
	return rest == 0 || ((net->b[whole] ^ b[whole]) & (0xff << (8 - rest)) & 0xff) == 0;
}

static bool
is_public(const uint8_t b[16])
{
	struct call_net net = { { 0 }, 0 };

	if (memcmp(b, v4_mapped, sizeof(v4_mapped)) == 0) {
		memcpy(net.b, v4_mapped, sizeof(v4_mapped));
		for (size_t i = 0; i < ARRAY_LEN(special_v4); i++) {
			memcpy(net.b + 12, special_v4[i].b, 4);
			net.bits = V4_BITS + special_v4[i].bits;
			if (net_holds(&net, b))
				return false;
		}
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(special_v6); i++)
		if (net_holds(&special_v6[i], b))
			return false;
	return net_holds(&public_v6, b);
}

/* False: neither family. */
static bool
one_form(const struct sockaddr *address, uint8_t b[16])
{
	if (address->sa_family == AF_INET) {
		memcpy(b, v4_mapped, sizeof(v4_mapped));
		memcpy(b + 12, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
		return true;
	}
	if (address->sa_family != AF_INET6)
		return false;
	memcpy(b, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
	return true;
}

static bool
is_allowed(const struct conf_list *allow, const uint8_t b[16])
{
	struct call_net net;

	for (int i = 0; i < allow->n; i++)
		if (call_net_parse(allow->items[i], &net) && net_holds(&net, b))
			return true;
	return false;
}

bool
call_guard_permits(const struct conf_list *allow, struct span host, const struct sockaddr *address)
{
	uint8_t b[16];

	if (!one_form(address, b))
		return false;
	for (int i = 0; i < allow->n; i++)
		if (span_ieq(host, allow->items[i]))
			return true;
	if (is_allowed(allow, b))
		return true;
	if (memcmp(b, nat64, sizeof(nat64)) == 0) {
		memcpy(b, v4_mapped, sizeof(v4_mapped));
		return is_allowed(allow, b) || is_public(b);
	}
	return is_public(b);
}

/* Whole, 0 to `most`; -1: it is not. */
static int
parse_bits(const char *text, int most)
{
	char *end;
	long n = strtol(text, &end, 10);

	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && n <= most ? (int)n : -1;
}

/* Nothing is set behind the bits that count: a slip of the pen would allow more than was meant. */
static bool
rest_is_zero(const struct call_net *net)
{
	for (int i = net->bits; i < 128; i++)
		if (net->b[i / 8] & (0x80 >> i % 8))
			return false;
	return true;
}

bool
call_net_parse(const char *text, struct call_net *net_r)
{
	char address[INET6_ADDRSTRLEN];
	size_t n = strcspn(text, "/");
	bool v4;

	if (n >= sizeof(address))
		return false;
	memcpy(address, text, n);
	address[n] = '\0';
	memcpy(net_r->b, v4_mapped, sizeof(v4_mapped));
	v4 = inet_pton(AF_INET, address, net_r->b + 12) == 1;
	if (!v4 && inet_pton(AF_INET6, address, net_r->b) != 1)
		return false;
	net_r->bits = 128;
	if (text[n] == '/')
		net_r->bits = parse_bits(text + n + 1, v4 ? 32 : 128);
	if (net_r->bits < 0)
		return false;
	if (v4 && text[n] == '/')
		net_r->bits += V4_BITS;
	return rest_is_zero(net_r);
}
