import { DeliveryNode } from './node.ts';

// A node that a test can kill: says when it delivers, and ends only with the test.

const node = await DeliveryNode.start({ url: process.env['URL'] ?? '' });
node.obey({ concurrency: 8 }, [process.env['ADDRESS'] ?? '']);
await node.reaches('delivering');
process.send?.('delivering');
process.on('disconnect', () => process.exit());
