/* beanstalkd.js - beanstalkd with a log on disk: the text protocol over four connections, many commands under way on each. */
'use strict';

const net = require('net');

/* Answers come in the order of the commands; a body follows RESERVED. */
function line(port) {
	const socket = net.connect(port, '127.0.0.1');
	const waiting = [];
	let got = Buffer.alloc(0);

	socket.setNoDelay(true);
	socket.on('data', (piece) => {
		got = Buffer.concat([got, piece]);
		for (;;) {
			const end = got.indexOf('\r\n');
			if (end < 0)
				return;
			const words = got.subarray(0, end).toString().split(' ');
			const size = words[0] === 'RESERVED' ? end + 2 + Number(words[2]) + 2 : end + 2;
			if (got.length < size)
				return;
			got = got.subarray(size);
			waiting.shift()(words);
		}
	});
	return {
		ask: (text) => new Promise((done) => { waiting.push(done); socket.write(text); }),
		close: () => socket.destroy(),
	};
}

exports.open = async (url, payload) => {
	const port = Number(new URL(url).port);
	const lines = Array.from({ length: 4 }, () => line(port));
	const body = JSON.stringify(payload);
	let turn = 0, stopped = false;
	const put = async () => {
		const words = await lines[turn++ % lines.length].ask(`put 0 0 60 ${body.length}\r\n${body}\r\n`);
		if (words[0] !== 'INSERTED')
			throw new Error('put: ' + words.join(' '));
	};

	async function loop(mine, handler) {
		while (!stopped) {
			const words = await mine.ask('reserve\r\n');
			if (words[0] !== 'RESERVED')
				throw new Error('reserve: ' + words.join(' '));
			if (stopped)
				return;
			await mine.ask(`delete ${words[1]}\r\n`);
			handler(words);
		}
	}
	return {
		submit: put,
		bulk: (n) => Promise.all(Array.from({ length: n }, put)),
		work: async (handler) => {
			for (let i = 0; i < 8; i++)
				loop(line(port), handler).catch((e) => { if (!stopped) { console.error('peer: ' + e); process.exit(1); } });
		},
		close: async () => {
			stopped = true;
			lines.forEach((l) => l.close());
		},
	};
};
