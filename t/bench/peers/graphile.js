/* graphile.js - graphile-worker: jobs in Postgres, LISTEN/NOTIFY, a local queue of 500 and batched completion. */
'use strict';

const { Pool } = require('pg');
const { makeWorkerUtils, run } = require('graphile-worker');

exports.open = async (url, payload) => {
	const pgPool = new Pool({ connectionString: url, max: 20 });
	const utils = await makeWorkerUtils({ pgPool });
	let runner;

	await utils.migrate();
	const queue = {
		submit: () => utils.addJob('noop', payload),
		bulk: (n) => utils.addJobs(Array.from({ length: n }, () => ({ identifier: 'noop', payload }))),
		work: async (handler) => {
			runner = await run({
				pgPool,
				noHandleSignals: true,
				taskList: { noop: async (data) => { handler(data); } },
				preset: { worker: { concurrentJobs: 24, localQueue: { size: 500 }, completeJobBatchDelay: 0, failJobBatchDelay: 0,
					logger: new (require('graphile-worker').Logger)(() => () => {}) } },
			});
		},
		/* finished jobs are deleted */
		settled: async () => {
			while (Number((await pgPool.query('select count(*) from graphile_worker.jobs')).rows[0].count) > 0)
				;
		},
		close: async () => {
			if (runner)
				await runner.stop();
			await utils.release();
		},
	};
	return queue;
};
