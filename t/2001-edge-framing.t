#!/usr/bin/perl
# What the edge refuses, how it says so, and that nothing behind a refused request is ever read as another one.
use strict;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";
use Taskq::Toy;
use Test::More;

my $toy = Taskq::Toy->start(http => { max_body => '1kB', max_head => '2kB', max_headers => 16, max_target => '256B', head_timeout => '20s' });
my $H = "Host: a\r\n";
my $MARK = "GET /mark HTTP/1.1\r\n${H}Connection: close\r\n\r\n";

# Each is followed by a request that must never run; each is one answer, then the end.
my @smuggle = (
	['CL.TE', 400, "POST /mark HTTP/1.1\r\n${H}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG"],
	['TE.CL', 400, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n1\r\nZ\r\n0\r\n\r\n"],
	['TE.TE, two lines', 400, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"],
	['TE.TE, cow', 501, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: cow\r\n\r\n0\r\n\r\n"],
	['gzip, chunked', 501, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"],
	['chunked, identity', 501, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"],
	['xchunked', 501, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"],
	['tab before chunked', 400, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding:\tchunked\r\n\r\n0\r\n\r\n"],
	['VT behind chunked', 400, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: chunked\x0b\r\n\r\n0\r\n\r\n"],
	['space before the colon', 400, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"],
	['TE in HTTP/1.0', 400, "POST /mark HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
	['two CL', 400, "POST /mark HTTP/1.1\r\n${H}Content-Length: 0\r\nContent-Length: 44\r\n\r\n"],
	['two equal CL', 400, "POST /mark HTTP/1.1\r\n${H}Content-Length: 0\r\nContent-Length: 0\r\n\r\n"],
	['list of CL', 400, "POST /mark HTTP/1.1\r\n${H}Content-Length: 0, 0\r\n\r\n"],
	['CL +0', 400, "POST /mark HTTP/1.1\r\n${H}Content-Length: +0\r\n\r\n"],
	['CL 0x0', 400, "POST /mark HTTP/1.1\r\n${H}Content-Length: 0x0\r\n\r\n"],
	['CL 2^64', 400, "POST /mark HTTP/1.1\r\n${H}Content-Length: 18446744073709551616\r\n\r\n"],
	['CL folded', 400, "POST /mark HTTP/1.1\r\n${H}Content-Length:\r\n 0\r\n\r\n"],
	['NUL behind CL', 400, "POST /mark HTTP/1.1\r\n${H}Content-Length: 0\0\r\n\r\n"],
	['chunk extension', 400, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n0;a=b\r\n\r\n"],
	['trailer', 400, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\r\nX: y\r\n\r\n"],
	['chunk size with LF', 400, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\n\n"],
	['chunk without an end', 400, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n1\r\nZZ\r\n0\r\n\r\n"],
	['chunk size 2^64', 400, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n"],
	['chunk size 2^64 - 1', 413, "POST /mark HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n\r\n"],
	['bare LF', 400, "GET /mark HTTP/1.1\nHost: a\n\n"],
	['bare LF after a field', 400, "GET /mark HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"],
	['bare CR', 400, "GET /mark HTTP/1.1\r\n${H}X: a\rGET /mark\r\n\r\n"],
	['obs-fold', 400, "GET /mark HTTP/1.1\r\n${H}X: a\r\n b\r\n\r\n"],
	['NUL in a value', 400, "GET /mark HTTP/1.1\r\n${H}X: a\0b\r\n\r\n"],
	['no name', 400, "GET /mark HTTP/1.1\r\n${H}: a\r\n\r\n"],
	['8 bit in a name', 400, "GET /mark HTTP/1.1\r\n${H}\xc3\xa4: a\r\n\r\n"],
	['no Host', 400, "GET /mark HTTP/1.1\r\n\r\n"],
	['two Hosts', 400, "GET /mark HTTP/1.1\r\n$H$H\r\n"],
	['another host in absolute form', 400, "GET http://b/mark HTTP/1.1\r\n$H\r\n"],
	['HTTP/0.9', 400, "GET /mark\r\n"],
	['HTTP/2', 505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
	['TLS', 400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
	['PROXY', 400, "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"],
	['bad escape', 400, "GET /%zz HTTP/1.1\r\n$H\r\n"],
	['escaped NUL', 400, "GET /%00 HTTP/1.1\r\n$H\r\n"],
	['overlong slash', 400, "GET /%c0%af HTTP/1.1\r\n$H\r\n"],
	['escaped slash', 400, "GET /..%2fmark HTTP/1.1\r\n$H\r\n"],
	['asterisk for GET', 400, "GET * HTTP/1.1\r\n${H}Connection: close\r\n\r\n"],
	['long request line', 414, 'GET /' . 'x' x 300 . " HTTP/1.1\r\n$H\r\n"],
	['64 kB of request line', 414, 'GET /' . 'x' x 65536 . " HTTP/1.1\r\n$H\r\n"],
	['long header line', 431, "GET /mark HTTP/1.1\r\n${H}X: " . 'x' x 3000 . "\r\n\r\n"],
	['1 MB of a header line', 431, "GET /mark HTTP/1.1\r\n${H}X: " . 'x' x 1048576 . "\r\n\r\n"],
	['many header lines', 431, "GET /mark HTTP/1.1\r\n$H" . "X: y\r\n" x 20 . "\r\n"],
	['1,000 header lines', 431, "GET /mark HTTP/1.1\r\n$H" . "X: y\r\n" x 1000 . "\r\n"],
	['body over the limit', 413, "PUT /raw HTTP/1.1\r\n${H}Content-Length: 1025\r\n\r\n" . 'x' x 1025],
	['1 MB of a body', 413, "PUT /raw HTTP/1.1\r\n${H}Content-Length: 1048576\r\n\r\n" . 'x' x 1048576],
	['chunks over the limit', 413, "PUT /raw HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n" . "100\r\n" . ('x' x 256 . "\r\n100\r\n") x 5],
	['another expectation', 417, "PUT /raw HTTP/1.1\r\n${H}Expect: miracles\r\nContent-Length: 1\r\n\r\nx"],
	['an unknown method with a body', 501, "BREW /mark HTTP/1.1\r\n${H}Content-Length: 1\r\n\r\nx"],
	['an unknown path with a body', 404, "POST /nope HTTP/1.1\r\n${H}Content-Length: 44\r\n\r\n"],
	['a wrong method with a body', 405, "PUT /mark HTTP/1.1\r\n${H}Content-Length: 44\r\n\r\n"],
	['no media type', 415, "POST /v1/echo HTTP/1.1\r\n${H}Content-Length: 2\r\n\r\n{}"],
	['close, then more', 200, "GET /hello HTTP/1.1\r\n${H}Connection: close\r\n\r\n"],
	['HTTP/1.0, then more', 200, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"],
);

for my $case (@smuggle) {
	my ($name, $status, $bytes) = @$case;
	my @a = eval { $toy->answers($bytes . $MARK) };
	is($@, '', "$name: the answer can be read");
	is(join(' ', map { $_->status } @a), $status, "$name: $status, and nothing else");
	is(lc($a[0] ? $a[0]->header('connection') || '' : ''), 'close', "$name: says close");
	next if length $bytes > 400;
	@a = eval { $toy->answers($bytes . $MARK, 1) };
	is(join(' ', map { $_->status } @a), $status, "$name: byte by byte");
}
is($toy->count->{mark}, 0, 'no request behind a refused one ran');

# Refused without a body: the connection lives on.
my $c = $toy->connect;
for my $case (
	['GET', '/nope', 404, undef], ['GET', '/v1/nope', 404, undef], ['DELETE', '/hello', 405, 'GET, HEAD'], ['PATCH', '/mark', 405, 'GET, HEAD, POST'],
	['TRACE', '/echo', 405, 'POST'], ['OPTIONS', '/echo', 405, 'POST'], ['OPTIONS', '*', 405, 'GET, HEAD, POST, PUT'], ['BREW', '/hello', 501, undef],
	['get', '/hello', 501, undef], ['POST', '/echo', 411, undef], ['GET', '//hello', 404, undef], ['GET', '/./hello', 404, undef],
	['GET', '/hello/', 404, undef], ['GET', '/things//x/1', 404, undef], ['GET', '/old/x/retry', 405, 'POST'],
) {
	my ($method, $target, $status, $allow) = @$case;
	my $r = $c->request($method, $target);
	is($r->status, $status, "$method $target: $status");
	is($r->header('allow'), $allow, "$method $target: Allow");
	is($r->header('connection'), undef, "$method $target: stays open");
}
is($c->request('GET', '/hello')->body, "hello\n", 'and is still good');

subtest 'media types' => sub {
	my $post = sub { my (@headers) = @_; return $toy->connect->request('POST', '/v1/echo', body => '{}', headers => [@headers, 'X-End' => 1])->status };
	is($post->('Content-Type' => $_), 202, $_)
		for 'application/json', 'Application/JSON', 'application/json; charset=utf-8', 'application/json;charset="UTF-8"', 'application/vnd.x+json', 'application/json ; charset=utf-8';
	is($post->('Content-Type' => $_), 415, $_)
		for 'text/plain', 'application/jsonx', 'application/json; charset=latin1', 'application/json; x=y', 'application/json;', 'application/x-www-form-urlencoded',
		'json', 'application/+json', 'application/json, text/plain', 'multipart/form-data; boundary=x', '';
	is($post->('Content-Type' => 'application/json', 'Content-Type' => 'application/json'), 415, 'twice');
	is($post->('Content-Type' => 'application/json', 'Content-Encoding' => 'gzip'), 415, 'gzip');
	is($post->('Content-Type' => 'application/json', 'Content-Encoding' => 'identity'), 202, 'identity');
	is($toy->connect->request('POST', '/opt', headers => ['Content-Length' => 0])->status, 202, 'no body where one may be');
	is($toy->connect->request('POST', '/opt')->status, 202, 'no length either');
	is($toy->connect->request('POST', '/opt', body => '{}', headers => ['Content-Type' => 'text/plain'])->status, 415, 'if one, then JSON');
	is($toy->connect->request('PUT', '/raw', body => 'abc', headers => ['Content-Type' => 'x/y'])->body, "3\n", 'a row that does not care');
};

subtest 'problems' => sub {
	my $r = $toy->connect->request('GET', '/v1/nope', headers => ['X-Request-ID' => 'abc/1']);
	is($r->header('content-type'), 'application/problem+json', 'media type');
	is_deeply($r->json, { type => '/problems/not-found', title => 'Not Found', status => 404, detail => 'no such path, expected one like /hello', retryable => JSON::PP::false, instance => 'abc/1',
			code => 'not_found', request_id => 'abc/1' }, 'members');
	$r = $toy->connect->request('GET', '/problem', headers => ['X-Request-ID' => '0b7bf981-95a7-46fb-b25b-3fd786a1339a']);
	is_deeply($r->json, { type => '/problems/not-now-please', title => 'Service Unavailable', status => 503, detail => 'expected "patience"',
			instance => 'urn:uuid:0b7bf981-95a7-46fb-b25b-3fd786a1339a', code => 'not_now_please', task_id => '42', retry_after => 7, retryable => JSON::PP::true,
			request_id => '0b7bf981-95a7-46fb-b25b-3fd786a1339a', errors => [{ pointer => '#/a%20b/~1c', detail => 'expected "patience"' }] }, 'all members');
	is($r->header('retry-after'), 7, 'Retry-After');
	is($r->header('taskq-outcome'), 'unknown', 'Taskq-Outcome');
	is($r->header('x-toy'), 'yes', 'a line of the handler');
	my ($late) = $toy->answers("POST / HTTP/9.9\r\n");
	like($late->json->{instance}, qr/^urn:uuid:[0-9a-f-]{36}$/, 'an id also where no head was read');
};

subtest 'request ids' => sub {
	for my $id ('a', 'x' x 128, 'A-z.0_9:+/=') {
		is($toy->connect->request('GET', '/hello', headers => ['X-Request-ID' => $id])->header('x-request-id'), $id, substr($id, 0, 20));
	}
	my $uuid = qr/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
	for my $id ('', 'x' x 129, 'a b', 'a"b', "\xc3\xa4", 'a,b') {
		like($toy->connect->request('GET', '/hello', headers => ['X-Request-ID' => $id])->header('x-request-id'), $uuid, 'not plain: a fresh one');
	}
};

subtest 'the compatible surface' => sub {
	my $r = $toy->connect->request('GET', '/nope');
	is($r->body, '{"detail":"Not Found"}', 'unknown path');
	is($r->header('content-type'), 'application/json', 'its media type');
	is($toy->connect->request('DELETE', '/old')->body, '{"detail":"Method Not Allowed"}', 'wrong method');
	is($toy->connect->request('DELETE', '/old')->header('allow'), 'GET, HEAD', 'Allow');
	$r = $toy->connect->request('GET', '/old/?a=%20b');
	is($r->status . ' ' . $r->header('location'), '307 /old?a=%20b', 'a slash at the end');
	is($toy->connect->request('POST', '/old/a%20b/retry/')->header('location'), '/old/a%20b/retry', 'the path as it was sent');
	is($toy->connect->request('GET', '//old/')->status, 404, 'not to another host');
	my $without = Taskq::Toy->start(http => { compat => 'off' });
	is($without->connect->request('GET', '/old')->status, 404, 'off: not there');
	is($without->connect->request('GET', '/nope')->header('content-type'), 'application/problem+json', 'off: our form');
	is($without->connect->request('GET', '/old/')->status, 404, 'off: no way there');
};

subtest 'parameters' => sub {
	my $r = $toy->connect->request('GET', '/things/a%20%C3%A4/x/..?b=1&a=%41+b%2B&&c&=d&e==f&b=2');
	is($r->body, "id=a \xc3\xa4 n=..\nb -> 1\na -> A b+\nc -> \n -> d\ne -> =f\nb -> 2\n", 'of the path and of the query, decoded');
};

subtest 'HEAD' => sub {
	my $c = $toy->connect;
	my $r = $c->request('HEAD', '/big?n=1000');
	is($r->header('content-length'), 1000, 'the length');
	is($c->request('GET', '/hello')->body, "hello\n", 'and no body');
	is($c->request('HEAD', '/v1/nope')->status, 404, 'not found');
	is($c->request('GET', '/hello')->body, "hello\n", 'no body there either');
	is($c->request('HEAD', '/echo')->status, 405, 'not for rows without GET');
};

is($toy->child->status, undef, 'the server lives');
done_testing();
