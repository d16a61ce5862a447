/* peer.js - one measurement of one queue, as one line of JSON.
 *
 *	node peer.js NAME submit|bulk|drain|wake URL [--seconds 3] [--flying 50] [--tasks 50000] [--payload 200]
 *
 * submit  one task a call, `flying` calls under way      drain  `tasks` no-op tasks that were there before the workers
 * bulk    1,000 tasks a call, two under way              wake   from the call that submits to the start of the handler, on an idle queue
 *
 * A peer is NAME.js beside this file.  It exports open(url, payload), which resolves to
 *	submit()        one task, acknowledged as surely as this queue does it
 *	bulk(n)         n tasks in one call
 *	work(handler)   starts the workers in their best configuration; handler(data) is called for each task and is done when it returns
 *	close()
 * Rates are of acknowledged calls in the measured time; a drain is over when the last task was acknowledged as finished, which is what
 * settled() waits for where the queue acknowledges behind the handler.
 */
'use strict';

const fs = require('fs');
const path = require('path');

function options(args) {
	const o = { seconds: 3, warm: 0.5, flying: 50, tasks: 50000, payload: 200, times: 60 };

	for (let i = 0; i < args.length; i += 2)
		o[args[i].replace(/^--/, '')] = Number(args[i + 1]);
	return o;
}

const now = () => Number(process.hrtime.bigint()) / 1e9;
const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

/* `flying` loops that call one after the other; the rate after the warm-up. */
async function rate(o, flying, call) {
	const begin = now() + o.warm, end = begin + o.seconds;
	let counted = 0;

	async function loop() {
		while (now() < end) {
			const n = await call();
			const t = now();
			if (t >= begin && t < end)
				counted += n;
		}
	}
	await Promise.all(Array.from({ length: flying }, loop));
	return { rate: counted / o.seconds };
}

async function drain(o, queue) {
	for (let left = o.tasks; left > 0; left -= 1000)
		await queue.bulk(Math.min(left, 1000));
	if (queue.filled)
		await queue.filled();
	let left = o.tasks, over;
	const done = new Promise((resolve) => { over = resolve; });
	const begin = now();
	await queue.work(() => {
		if (--left === 0)
			over();
	});
	await done;
	if (queue.settled)
		await queue.settled();
	return { rate: o.tasks / (now() - begin), tasks: o.tasks };
}

async function wake(o, queue) {
	const took = [];
	let heard = () => {};

	await queue.work(() => heard(now()));
	await pause(1.5);
	for (let i = 0; i < o.times; i++) {
		const begin = now();
		const started = new Promise((resolve) => { heard = resolve; });
		await queue.submit();
		took.push(((await started) - begin) * 1000);
		await pause(0.03 + 0.04 * Math.random());
	}
	took.sort((a, b) => a - b);
	const at = (share) => took[Math.min(took.length - 1, Math.floor(took.length * share))];
	return { p50_ms: at(0.5), p99_ms: at(0.99), times: took.length };
}

async function main() {
	const [name, what, url, ...rest] = process.argv.slice(2);
	const o = options(rest);
	const queue = await require(path.join(__dirname, name + '.js')).open(url, { text: 'x'.repeat(o.payload - 12) }, what);
	const measures = {
		submit: () => rate(o, o.flying, async () => { await queue.submit(); return 1; }),
		bulk: () => rate(o, 2, async () => { await queue.bulk(1000); return 1000; }),
		drain: () => drain(o, queue),
		wake: () => wake(o, queue),
	};
	const result = await measures[what]();
	fs.writeSync(1, JSON.stringify({ peer: name, what, ...result }) + '\n');
	await Promise.race([queue.close(), pause(5)]);
	process.exit(0);
}

main().catch((e) => {
	console.error('peer: ' + (e.stack || e));
	process.exit(1);
});
