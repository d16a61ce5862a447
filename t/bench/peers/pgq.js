/* pgq.js - PgQ: events in Postgres, one consumer, batches of some thousand events that are finished whole: one durable write a batch, so a
 * consumer that dies gets the whole batch again.
 */
'use strict';

const { Pool } = require('pg');

exports.open = async (url, payload, what) => {
	const pool = new Pool({ connectionString: url, max: 20 });
	const body = JSON.stringify(payload);
	const text = "select pgq.insert_event('bench', 'noop', $1)";
	const many = "select count(pgq.insert_event('bench', 'noop', $1)) from generate_series(1, $2)";
	let stopped = false;

	if ((await pool.query("select 1 from pg_extension where extname = 'pgq'")).rowCount === 0)
		await pool.query('create extension pgq');
	if ((await pool.query("select 1 from pgq.get_queue_info() where queue_name = 'bench'")).rowCount === 0) {
		await pool.query("select pgq.create_queue('bench')");
		await pool.query("update pgq.queue set queue_ticker_max_count = 5000, queue_ticker_max_lag = '1 ms', queue_ticker_idle_period = '1 ms'");
		await pool.query("select pgq.register_consumer('bench', 'peer')");
	}
	const tick = () => pool.query("select pgq.ticker('bench')");

	async function loop(handler) {
		while (!stopped) {
			if (what === 'wake')
				await tick();
			const batch = (await pool.query("select pgq.next_batch('bench', 'peer') as id")).rows[0].id;
			if (batch === null)
				continue;
			const events = (await pool.query('select ev_id, ev_data from pgq.get_batch_events($1)', [batch])).rows;
			await pool.query('select pgq.finish_batch($1)', [batch]);
			events.forEach((e) => handler(e.ev_data));
		}
	}
	return {
		submit: () => pool.query({ name: 'put', text, values: [body] }),
		bulk: async (n) => {
			await pool.query({ name: 'many', text: many, values: [body, n] });
			if (what === 'drain')
				await tick();
		},
		filled: tick,
		work: async (handler) => { loop(handler).catch((e) => { if (!stopped) { console.error('peer: ' + e); process.exit(1); } }); },
		close: async () => {
			stopped = true;
			await pool.end();
		},
	};
};
