// Package jobs runs the background work: checking and importing files, sending
// invitations, delivering webhooks and periodic maintenance. All state lives in
// PostgreSQL. A Redis task carries only an ID and tells a worker to look;
// losing a task delays work, repeating one has no effect.
package jobs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/hibiken/asynq"

	"rollcall/jobs/bounces"
	"rollcall/jobs/importer"
	"rollcall/jobs/invitations"
	"rollcall/jobs/queue"
	"rollcall/jobs/webhooks"
	"rollcall/storage"
)

// WorkerConfig configures a Worker. Zero values take the default.
type WorkerConfig struct {
	Redis            asynq.RedisConnOpt
	Imports          int                  // imports run at once; default 2
	Connections      int                  // mails sent at once; default 4
	Retention        time.Duration        // how long uploads and row values are kept; no default
	Drain            time.Duration        // how long a stop may take; default 25 s
	Webhooks         *webhooks.Dispatcher // delivers webhooks; nil: they wait
	Secrets          *SecretRotator       // runs once at the start; nil: never
	Notices          *NoticeSender        // sends notices; nil: they wait
	Bounces          *bounces.Listener    // takes returned mail; nil: none
	Reminders        Reminders            // of unused invitations; zero: none
	OnImportActivity func(bool)           // called when the first import starts and when the last one stops; may be nil

	Window     int           // see invitations.DispatcherConfig
	Redispatch time.Duration // see invitations.DispatcherConfig
	Sweep      time.Duration // between searches for stalled imports; default 2 s
	Overdue    time.Duration // an import's task that is not started in this time may be lost; default 3 s
	Purge      time.Duration // between purges; default 1 min
	Silence    time.Duration // without a task from Redis for this long, the worker takes work straight from PostgreSQL; default 30 s
}

func (c *WorkerConfig) setDefaults() {
	c.Imports = cmp.Or(c.Imports, 2)
	c.Connections = cmp.Or(c.Connections, 4)
	c.Drain = cmp.Or(c.Drain, 25*time.Second)
	c.Sweep = cmp.Or(c.Sweep, 2*time.Second)
	c.Overdue = cmp.Or(c.Overdue, 3*time.Second)
	c.Purge = cmp.Or(c.Purge, time.Minute)
	c.Silence = cmp.Or(c.Silence, 30*time.Second)
	if c.OnImportActivity == nil {
		c.OnImportActivity = func(bool) {}
	}
}

// mailTaskConcurrency is how many invitation tasks run at once for a number of
// connections to the mail server: while the mails of one task are sent, those
// of another are claimed in one transaction.
func mailTaskConcurrency(connections int) int { return 2 * connections }

// Worker runs imports, sends invitations and runs periodic maintenance. Any
// number of workers may run side by side.
type Worker struct {
	cfg        WorkerConfig
	log        *slog.Logger
	metrics    *Metrics
	queue      *queue.Queue
	importer   *importer.Importer
	sender     *invitations.Sender
	imports    *importPriority
	dispatcher *invitations.Dispatcher
	sweeper    *sweeper
	inFlight   sync.WaitGroup // handlers

	importWakeups *wakeups
	mailWakeups   *wakeups
	mailQueue     *mailQueue
}

// NewWorker makes a Worker.
func NewWorker(store *storage.Store, tasks *queue.Queue, im *importer.Importer, sender *invitations.Sender, log *slog.Logger, metrics *Metrics, cfg WorkerConfig) *Worker {
	cfg.setDefaults()
	imports := &importPriority{importing: cfg.OnImportActivity}
	mailTasks := mailTaskConcurrency(cfg.Connections)
	mailWakeups := newWakeups(mailTasks)
	mailQueue := &mailQueue{redis: tasks, wakeups: mailWakeups, silence: cfg.Silence, places: make(chan struct{}, mailTasks)}
	return &Worker{
		cfg: cfg, log: log, metrics: metrics, queue: tasks, importer: im, sender: sender, imports: imports,
		importWakeups: newWakeups(cfg.Imports), mailWakeups: mailWakeups, mailQueue: mailQueue,
		dispatcher: invitations.NewDispatcher(store, mailQueue, sender, log, invitations.DispatcherConfig{
			Window: cfg.Window, Redispatch: cfg.Redispatch, Defer: func() bool { return imports.deferMail(time.Now()) },
		}),
		sweeper: &sweeper{
			store: store, queue: tasks, log: log, metrics: metrics,
			every: cfg.Sweep, overdue: cfg.Overdue, purges: cfg.Purge, retention: cfg.Retention, reminders: cfg.Reminders,
		},
	}
}

// Run works until ctx ends and then drains: it starts nothing new, finishes the
// current batch and the mails in progress, and hands imports back for other
// workers.
func (w *Worker) Run(ctx context.Context) error {
	imports := w.server(ctx, queue.Imports, w.cfg.Imports)
	mails := w.server(ctx, queue.Mail, mailTaskConcurrency(w.cfg.Connections))
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRecording()
	var background, recorders sync.WaitGroup
	w.sender.StartHeartbeat()
	recorders.Go(func() { w.sender.RunHeartbeat(recording) })
	recorders.Go(func() { w.sender.RunHandoffs(recording) })
	recorders.Go(func() { w.sender.RunOutcomes(recording) })
	if err := imports.Start(w.handler(ctx, queue.KindImport, w.importWakeups, w.runImport)); err != nil {
		return fmt.Errorf("start import workers: %w", err)
	}
	if err := mails.Start(w.handler(ctx, queue.KindInvitation, w.mailWakeups, func(ctx context.Context, p queue.Payload) error {
		return w.sendInvitations(ctx, p.Invitations())
	})); err != nil {
		imports.Shutdown()
		return fmt.Errorf("start mail workers: %w", err)
	}
	background.Go(func() { w.queue.Run(ctx) })
	background.Go(func() { w.fallbackImports().loop(ctx) })
	w.mailQueue.send = func(due []storage.DueInvitation) { w.sendWithoutTask(ctx, due) }
	background.Go(func() { w.dispatcher.Run(ctx) })
	background.Go(func() { w.sweeper.run(ctx) })
	if w.cfg.Webhooks != nil {
		background.Go(func() { w.cfg.Webhooks.Run(ctx) })
	}
	if w.cfg.Secrets != nil {
		background.Go(func() { w.cfg.Secrets.Run(ctx) })
	}
	if w.cfg.Bounces != nil {
		background.Go(func() { w.cfg.Bounces.Run(ctx) })
	}
	if w.cfg.Notices != nil {
		background.Go(func() { w.cfg.Notices.Run(ctx) })
	}

	<-ctx.Done()
	w.log.Info("worker shutting down, draining")
	var stopping sync.WaitGroup
	stopping.Go(imports.Shutdown)
	stopping.Go(mails.Shutdown)
	stopping.Wait()
	w.inFlight.Wait() // also handlers that asynq no longer waits for
	background.Wait()
	w.mailQueue.running.Wait()
	stopRecording() // last: the mails in progress are recorded by now
	recorders.Wait()
	w.sender.Close()
	return nil
}

func (w *Worker) server(stop context.Context, name string, concurrency int) *asynq.Server {
	return asynq.NewServer(queue.Paced(stop, w.cfg.Redis, name), asynq.Config{
		Concurrency:       concurrency,
		Queues:            map[string]int{name: 1},
		TaskCheckInterval: queue.TaskCheckInterval,
		ShutdownTimeout:   w.cfg.Drain,
		// PostgreSQL decides about retries and keeps what is over: asynq has
		// neither scheduled nor completed tasks to look for.
		DelayedTaskCheckInterval: time.Minute,
		JanitorInterval:          time.Hour,
		Logger:                   asynqLog{w.log, w.queue},
		LogLevel:                 asynq.WarnLevel,
	})
}

// handler decodes the payload and calls do. It never returns an error to asynq:
// PostgreSQL knows what to retry, and Redis would keep a failed task for no
// purpose.
//
// The work's context ends when the worker is to stop. It is not asynq's base
// context: when that one ends, asynq counts the task as failed at once and its
// shutdown no longer waits for the handler, which is just then handing the
// import back.
func (w *Worker) handler(stop context.Context, kind string, wakeups *wakeups, do func(context.Context, queue.Payload) error) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		w.inFlight.Add(1)
		defer w.inFlight.Done()
		wakeups.begin()
		defer wakeups.end()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(stop, cancel)()
		var p queue.Payload
		if t.Type() != kind {
			w.log.Error("unknown task kind", "kind", t.Type())
			return nil
		}
		if err := json.Unmarshal(t.Payload(), &p); err != nil {
			w.log.Error("unreadable task payload", "kind", kind)
			return nil
		}
		w.guard(kind, func() error { return do(ctx, p) })
		return nil
	})
}

// guard logs an error or a panic of do: asynq would keep the task forever.
func (w *Worker) guard(kind string, do func() error) {
	defer func() {
		if p := recover(); p != nil {
			w.metrics.taskPanics.Inc()
			w.log.Error("panic in a task", "kind", kind, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
		}
	}()
	if err := do(); err != nil {
		w.log.Error("task failed; will retry", "kind", kind, "error", err)
	}
}

func (w *Worker) runImport(ctx context.Context, p queue.Payload) error {
	result, err := w.importSlice(ctx, p.ID)
	if !result.More {
		return err
	}
	// The rest goes to the back of the queue, so that other imports get their
	// turn.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	_ = w.queue.EnqueueImport(bounded, p.ID, result.Dispatch) // logged by the queue; the sweeper finds the import
	return err
}

// importSlice works on an import for one slice, and wakes those who have work
// after it.
func (w *Worker) importSlice(ctx context.Context, id uuid.UUID) (importer.Result, error) {
	w.imports.begin(time.Now())
	var result importer.Result
	var err error
	func() {
		defer func() { w.imports.end(time.Now(), result.More) }()
		result, err = w.importer.Run(ctx, id)
	}()
	if result.Invited {
		w.dispatcher.Wake()
	}
	if !result.More && w.cfg.Webhooks != nil {
		w.cfg.Webhooks.Wake() // the import may have ended
	}
	return result, err
}

func (w *Worker) fallbackImports() *fallbackImports {
	return &fallbackImports{
		store: w.sweeper.store, wakeups: w.importWakeups, silence: w.cfg.Silence, every: w.cfg.Sweep, overdue: w.cfg.Overdue / 2,
		run: w.importWithoutTask,
	}
}

func (w *Worker) sendInvitations(ctx context.Context, due []storage.DueInvitation) error {
	if ctx.Err() != nil {
		return nil // stopping: they become due again
	}
	return w.sender.Send(ctx, due...)
}

// asynqLog gives asynq's complaints to the queue: almost all are about Redis,
// and the queue logs one line for all of an episode.
type asynqLog struct {
	log   *slog.Logger
	queue *queue.Queue
}

func (l asynqLog) write(level slog.Level, args []any) {
	text := strings.TrimSpace(fmt.Sprint(args...))
	l.log.Debug("task queue message", "message", text)
	if level >= slog.LevelWarn {
		l.queue.Report(errors.New(text))
	}
}

func (l asynqLog) Debug(args ...any) { l.write(slog.LevelDebug, args) }
func (l asynqLog) Info(args ...any)  { l.write(slog.LevelInfo, args) }
func (l asynqLog) Warn(args ...any)  { l.write(slog.LevelWarn, args) }
func (l asynqLog) Error(args ...any) { l.write(slog.LevelError, args) }

// Fatal must not end the process: asynq calls it when Redis is unavailable at
// startup.
func (l asynqLog) Fatal(args ...any) { l.write(slog.LevelError, args) }
