/* pgboss.js - pg-boss: jobs in Postgres; fetch and complete by 500, which is its fastest, for a drain; its poller for everything else. */
'use strict';

const PgBoss = require('pg-boss');

exports.open = async (url, payload, what) => {
	const boss = new PgBoss({ connectionString: url, max: 20, supervise: false, schedule: false });
	let stopped = false;

	boss.on('error', (e) => { console.error('pg-boss: ' + e); process.exit(1); });
	await boss.start();
	await boss.createQueue('bench');

	async function loop(handler) {
		while (!stopped) {
			const jobs = await boss.fetch('bench', { batchSize: 500 });
			if (jobs.length === 0)
				return;
			await boss.complete('bench', jobs.map((j) => j.id));
			jobs.forEach((j) => handler(j.data));
		}
	}
	return {
		submit: () => boss.send('bench', payload),
		bulk: (n) => boss.insert(Array.from({ length: n }, () => ({ name: 'bench', data: payload }))),
		work: async (handler) => {
			if (what === 'drain')
				for (let i = 0; i < 4; i++)
					loop(handler);
			else
				await boss.work('bench', { batchSize: 500, pollingIntervalSeconds: 0.5 }, async (jobs) => jobs.forEach((j) => handler(j.data)));
		},
		close: async () => {
			stopped = true;
			await boss.stop({ graceful: false });
		},
	};
};
