// child.js - a pool child for the tests, in Node.
'use strict';
let rest = '';
process.stdin.setEncoding('utf8');
process.stdin.on('data', (piece) => {
	const lines = (rest + piece).split('\n');
	rest = lines.pop();
	for (const line of lines) {
		const task = JSON.parse(line);
		const answer = (members) => process.stdout.write(JSON.stringify({ lease: task.lease, ...members }) + '\n');
		if (task.payload.fail) answer({ error_class: 'RATE_LIMITED', error_code: 'SLOW', message: 'not so fast', retry_after: 0.1 });
		else setTimeout(() => answer({ result: { node: process.version, pid: process.pid, payload: task.payload } }), task.payload.ms || 0);
	}
});
