#!/usr/bin/env node
// Runs the Node that Heddle runs on with the given arguments, so that npm scripts do not depend on the Node of npm itself.
import { runNode } from './find-node.js';

runNode(process.argv.slice(2));
