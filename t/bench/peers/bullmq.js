/* bullmq.js - BullMQ: jobs in Redis, one worker of concurrency 100.  Redis acknowledges before anything is on disk. */
'use strict';

const { Queue, Worker } = require('bullmq');

exports.open = async (url, payload) => {
	const at = new URL(url);
	const connection = { host: at.hostname, port: Number(at.port), maxRetriesPerRequest: null };
	const queue = new Queue('bench', { connection, defaultJobOptions: { removeOnComplete: true } });
	let worker, busy = 0;

	return {
		submit: () => queue.add('noop', payload),
		bulk: (n) => queue.addBulk(Array.from({ length: n }, () => ({ name: 'noop', data: payload }))),
		work: async (handler) => {
			worker = new Worker('bench', async (job) => { handler(job.data); }, { connection, concurrency: 100 });
			await worker.waitUntilReady();
		},
		settled: async () => {
			do
				busy = await queue.getJobCountByTypes('active', 'waiting');
			while (busy > 0);
		},
		close: async () => {
			if (worker)
				await worker.close(true);
			await queue.close();
		},
	};
};
