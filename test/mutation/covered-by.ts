/**
 * The test files that a source's mutants meet, the quickest first: most mutants meet no second one. What is left alive by
 * these is looked at by hand, so a file that starts members or waits for seconds is here only where nothing else looks.
 */
export const coveredBy: Readonly<Record<string, readonly string[]>> = {
  'src/send-message/judge.ts': [
    'judges-people',
    'judges-reads',
    'refuses-people',
    'idempotency',
    'commit-batches',
  ],
  'src/send-message/draft.ts': ['makes-drafts', 'sends-text', 'idempotency', 'sends-media'],
  'src/send-message/conversation.ts': ['makes-drafts', 'sends-text'],
  'src/send-message/media-reference.ts': ['makes-drafts', 'sends-media'],
  'src/send-message/database-failure.ts': ['names-failures', 'commit-failures'],
  'src/send-message/entry.ts': ['names-failures', 'commit-batches'],
  'src/send-message/suspects.ts': ['suspects'],
  'src/send-message/known-chats.ts': ['makes-drafts', 'commit-batches'],
  'src/plugins/authentication.ts': [
    'refuses-tokens',
    'refuses-tokens-of-every-key',
    'refuses-tokens-by-public-keys',
  ],
  'src/plugins/jwks.ts': ['refuses-tokens-by-public-keys'],
  'src/send-message/send-message.ts': [
    'refuses-people',
    'sends-media',
    'sends-media-at-once',
    'database-failures',
  ],
  'src/send-message/commands.ts': ['sends-commands', 'commit-batches', 'sweeper-order', 'commit-failures'],
  'src/send-message/session.ts': ['sends-commands', 'commit-batches', 'commit-failures'],
  'src/send-message/refuse-excess.ts': ['refuses-overload'],
  'src/send-message/transaction.ts': [
    'commit-batches',
    'idempotency',
    'sends-media-at-once',
    'commit-failures',
  ],
  'src/send-message/settle-media.ts': [
    'commit-batches',
    'sends-media',
    'sweeper-order',
    'sends-media-at-once',
  ],
  'src/send-message/commit.ts': ['commit-batches', 'idempotency', 'commit-failures'],
  'src/send-message/admission.ts': ['media-batches', 'sends-media', 'database-failures'],
  'src/send-message/route.ts': ['sends-text', 'idempotency', 'sends-media', 'operation'],
  'src/send-message/index.ts': ['sends-text', 'sends-media', 'operation', 'refuses-overload'],
  'src/send-message/media-claims.ts': [
    'media-batches',
    'sends-media-at-once',
    'sweeper',
    'database-failures',
  ],
  'src/send-message/media-records.ts': ['sweeper', 'sweeper-order', 'database-failures'],
  'src/send-message/promote-media.ts': [
    'sends-media',
    'takes-over-media',
    'sends-media-at-once',
    'promotion-faults',
  ],
  'src/send-message/undo-promotion.ts': [
    'counts-promotions',
    'takes-over-media',
    'sweeper',
    'sweeper-order',
    'promotion-faults',
  ],
  'src/send-message/sweep-media.ts': ['sweeper', 'sweeper-order', 'database-failures'],
  'src/send-message/release-later.ts': ['database-failures'],
  'src/send-message/meters.ts': ['operation'],
}
