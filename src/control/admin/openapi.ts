import { openApiPaths } from '../../lib/openapi.ts';
import { problemSchema } from './answers.ts';
import { PROBLEM_TYPE } from './refusal.ts';
import type { Route } from './routes.ts';
import type { JsonSchema } from './schema.ts';

/** The OpenAPI 3.1 description of these routes. */
export function openApi(routes: readonly Route[], version: string): object {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Heddle admin API',
      version,
      description: 'What a node of the mesh does, and a few ways to steer it',
    },
    paths: openApiPaths(routes, operation),
    components: { schemas: { Problem: problemSchema.json } },
  };
}

function operation({ summary, params, body, type, schema, statuses = {} }: Route): object {
  const answer = { description: summary, content: content(type, schema ?? { type: 'string', description: summary }) };
  const problem = {
    description: 'Refused, with the reason',
    content: content(PROBLEM_TYPE, { $ref: '#/components/schemas/Problem' }),
  };
  const others = Object.entries(statuses).map(([status, description]) => [status, { ...problem, description }]);
  return {
    summary,
    parameters: Object.entries(params).map(
      ([
        name,
        {
          json: { description, ...json },
        },
      ]) => {
        return { name, in: 'query', description, schema: json };
      },
    ),
    ...(body === undefined ? {} : { requestBody: { required: true, content: content('application/json', body) } }),
    responses: { '200': answer, ...Object.fromEntries(others), 'default': problem },
  };
}

function content(type: string, schema: JsonSchema): object {
  return { [type]: { schema } };
}
