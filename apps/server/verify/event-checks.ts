/** Events, who has seen them, and the work that they left behind, of every service. */
import type { Check } from './check.ts';

export const logChecks: readonly Check[] = [
  {
    id: 'event-missing',
    title: 'A version of something has no event.',
    kind: 'safety',
    sql: `select a.topic, a.key, a.version, coalesce(e.versions, 0) as events, e.last
      from aggregates a join horizons h using (topic)
      left join (select topic, key, count(distinct version) as versions, max(version) as last
        from events group by topic, key) e using (topic, key)
      where (coalesce(e.versions, 0) < a.version or e.last < a.version)
        and a.created_at >= h.since`,
  },
  {
    id: 'event-of-nothing',
    title: 'An event tells of a version that nothing has.',
    kind: 'safety',
    sql: `select e.topic, e.key, e.version, e.type, a.version as last from events e
      join judged_topics using (topic) left join aggregates a using (topic, key)
      where e.version > coalesce(a.version, 0)`,
  },
  {
    id: 'event-twice',
    title: 'Two events tell of one version, or stand at one position.',
    kind: 'safety',
    sql: `select topic, key, version, null::bigint as position, count(*) as events from events
      group by topic, key, version having count(*) > 1
      union all
      select topic, null, null, position, count(*) from events
      where position is not null group by topic, position having count(*) > 1`,
  },
  {
    id: 'event-out-of-order',
    title: 'The events of a key stand in the log in another order than they happened.',
    kind: 'safety',
    sql: `select topic, key, version, position, before as version_before from (
        select *, lag(version) over (partition by topic, key order by position nulls last, version)
          as before from events) placed
      where version < before`,
  },
  {
    id: 'position-gap',
    title: 'The positions of a log are not dense, or do not end where its head says.',
    kind: 'safety',
    sql: `select topic, position, before as position_before from (
        select topic, position, lag(position) over (partition by topic order by position) as before
        from events where position is not null) placed
      where position <> before + 1
      union all
      select h.topic, h.position, last.position from log_heads h
      join (select topic, max(position) as position from events group by topic) last using (topic)
      where last.position is distinct from nullif(h.position, 0)
      union all
      select topic, position, published from log_heads where published > position`,
  },
  {
    id: 'event-unpublished',
    title: 'An event was never published.',
    kind: 'liveness',
    pending: true,
    sql: `select e.topic, e.key, e.version, e.type, e.position, h.published
      from events e join log_heads h using (topic)
      where e.position is null or e.position > h.published`,
  },
];

export const consumerChecks: readonly Check[] = [
  {
    id: 'effect-missing',
    title: 'A consumer has not seen the last version of a key.',
    kind: 'liveness',
    pending: true,
    // What is parked is told as a dead letter: it waits for a person, not for time.
    sql: `select s.service, s.topic, e.key, e.last, i.version as seen from subscriptions s
      join (select topic, key, max(version) as last from events group by topic, key) e using (topic)
      left join inboxes i on i.service = s.service and i.topic = s.topic and i.key = e.key
      where coalesce(i.version, 0) < e.last
        and not exists (select from parked d
          where d.service = s.service and d.topic = s.topic and d.key = e.key)`,
  },
  {
    id: 'effect-of-nothing',
    title: 'A consumer has seen a version that its producer never had.',
    kind: 'safety',
    sql: `select i.service, i.topic, i.key, i.version as seen, a.version as last from inboxes i
      join subscriptions s on s.service = i.service and s.topic = i.topic
      join judged_topics j on j.topic = i.topic
      left join aggregates a on a.topic = i.topic and a.key = i.key
      where i.version > coalesce(a.version, 0)`,
  },
  {
    id: 'dead-letter',
    title: 'An event is parked, so its effect is missing.',
    kind: 'liveness',
    sql: `select service, topic, key, version, type, attempts, left(error, 300) as error, parked_at
      from parked`,
  },
];

export const taskChecks: readonly Check[] = [
  {
    id: 'task-open',
    title: 'A task is still to be done.',
    kind: 'liveness',
    pending: true,
    sql: `select service, kind, key, state, attempts, run_at, left(error, 300) as error
      from all_tasks where state <> 'dead'`,
  },
  {
    id: 'task-dead',
    title: 'A task was given up, so its effect is missing.',
    kind: 'liveness',
    sql: `select service, kind, key, attempts, left(error, 300) as error, created_at
      from all_tasks where state = 'dead'`,
  },
  {
    id: 'lease-leaked',
    title: 'A task runs under a lease that ended a minute ago, and nobody took it over.',
    kind: 'liveness',
    sql: `select service, kind, key, attempts, lease_until from all_tasks
      where state = 'running'
        and coalesce(lease_until, '-infinity') < clock_timestamp() - interval '60 seconds'`,
  },
];
