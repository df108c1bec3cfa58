// Started by `npm run mutation`, which holds the database and says what is mutated and by which tests: test/mutation/run.ts.
export default {
  mutate: process.env.MUTATE?.split(',') ?? ['src/send-message/**/*.ts'],
  testRunner: 'in-process',
  plugins: ['./test/mutation/runner.mjs', './test/mutation/ignore-texts.mjs'],
  testRunnerNodeArgs: ['--import', 'tsx'],
  ignorers: ['texts'],
  // A mutant meets only the test files that run through it.
  coverageAnalysis: 'perTest',
  concurrency: 2,
  // tsx does not look at types.
  disableTypeChecks: false,
  // Deadlines of the service end what hangs; a machine that does something else may take its time.
  timeoutMS: 15_000,
  timeoutFactor: 2,
  dryRunTimeoutMinutes: 20,
  ignorePatterns: ['dist', 'bench-results.json', 'docs', '.tap', 'coverage'],
  incremental: true,
  incrementalFile: process.env.MUTATION_INCREMENTAL ?? 'coverage/mutation/all.incremental.json',
  reporters: ['json', 'progress-append-only'],
  jsonReporter: { fileName: process.env.MUTATION_REPORT ?? 'coverage/mutation/all.json' },
  tempDirName: 'coverage/stryker',
  cleanTempDir: 'always',
  allowEmpty: true,
  allowConsoleColors: false,
}
