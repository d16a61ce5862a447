/* rabbitmq.js - RabbitMQ: a quorum queue, persistent messages, publisher confirms, a prefetch of 500, an acknowledgement each. */
'use strict';

const amqp = require('amqplib');

exports.open = async (url, payload) => {
	const connection = await amqp.connect(url);
	const channel = await connection.createConfirmChannel();
	const body = Buffer.from(JSON.stringify(payload));
	const name = 'bench-' + process.pid;
	const confirmed = () => new Promise((done, failed) => {
		channel.sendToQueue(name, body, { persistent: true }, (e) => (e ? failed(e) : done()));
	});

	await channel.assertQueue(name, { durable: true, arguments: { 'x-queue-type': 'quorum' } });
	return {
		submit: confirmed,
		bulk: async (n) => {
			for (let i = 0; i < n; i++)
				channel.sendToQueue(name, body, { persistent: true });
			await channel.waitForConfirms();
		},
		work: async (handler) => {
			const consumer = await connection.createChannel();
			await consumer.prefetch(500);
			await consumer.consume(name, (message) => {
				consumer.ack(message);
				handler(message.content);
			});
		},
		close: async () => {
			await channel.deleteQueue(name);
			await connection.close();
		},
	};
};
