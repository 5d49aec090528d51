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

	"github.com/hibiken/asynq"

	"rollcall/storage"
)

// WorkerConfig is what a worker needs to know. Zero values take the default.
type WorkerConfig struct {
	Redis       asynq.RedisConnOpt
	Imports     int           // imports worked on at once; default 2
	Connections int           // mails sent at once; default 4
	Retention   time.Duration // how long uploads and row values are kept; no default
	Drain       time.Duration // how long a stop may take; default 25 s
	Courier     *Courier      // delivers webhooks; nil: they wait
	Importing   func(bool)    // told when imports begin to be worked on and when none is any more; nil: nobody asks

	Window     int           // invitations waiting in Redis at most, so that its memory does not grow with an import; default 1,000
	Redispatch time.Duration // an invitation whose task got lost comes due again after this; default 20 s
	Sweep      time.Duration // between looks for imports nobody has in hand; default 2 s
	Overdue    time.Duration // an import's task not taken up in this time may be lost; default 3 s
	Purge      time.Duration // between purges; default 1 min
}

func (c *WorkerConfig) fill() {
	c.Imports = cmp.Or(c.Imports, 2)
	c.Connections = cmp.Or(c.Connections, 4)
	c.Drain = cmp.Or(c.Drain, 25*time.Second)
	c.Window = cmp.Or(c.Window, 1000)
	c.Redispatch = cmp.Or(c.Redispatch, 20*time.Second)
	c.Sweep = cmp.Or(c.Sweep, 2*time.Second)
	c.Overdue = cmp.Or(c.Overdue, 3*time.Second)
	c.Purge = cmp.Or(c.Purge, time.Minute)
	if c.Importing == nil {
		c.Importing = func(bool) {}
	}
}

// How often an idle worker looks into Redis for each kind of task. For imports it
// is most of what the sender of a small file waits for.
const (
	lookForImports = 10 * time.Millisecond
	lookForMail    = 20 * time.Millisecond
)

// parcels is how many tasks with invitations are in hand for so many connections
// to the mail server: while the mails of some are sent another's are claimed, with
// one commit, and wait for their turn.
func parcels(connections int) int { return 2 * connections }

// Worker runs imports, sends invitations and keeps house. Any number may run
// side by side.
type Worker struct {
	cfg      WorkerConfig
	log      *slog.Logger
	meter    *Metrics
	bell     *Bell
	importer *Importer
	mailer   *Mailer
	imports  *precedence
	outbox   *outbox
	sweeper  *sweeper
	under    sync.WaitGroup // handlers under way
}

// NewWorker makes a Worker.
func NewWorker(store *storage.Store, bell *Bell, importer *Importer, mailer *Mailer, log *slog.Logger, meter *Metrics, cfg WorkerConfig) *Worker {
	cfg.fill()
	imports := &precedence{importing: cfg.Importing}
	return &Worker{
		cfg: cfg, log: log, meter: meter, bell: bell, importer: importer, mailer: mailer, imports: imports,
		outbox: newOutbox(store, bell, mailer.postman, imports, log, cfg),
		sweeper: &sweeper{
			store: store, bell: bell, log: log, meter: meter,
			every: cfg.Sweep, overdue: cfg.Overdue, purges: cfg.Purge, retention: cfg.Retention,
		},
	}
}

// Run works until ctx ends, and then drains: no new work, the batch and the
// mails under way are finished, imports are handed back for others to take.
func (w *Worker) Run(ctx context.Context) error {
	imports := w.server(QueueImports, w.cfg.Imports, lookForImports)
	mails := w.server(QueueMail, parcels(w.cfg.Connections), lookForMail)
	recording, stopRecording := context.WithCancel(context.WithoutCancel(ctx))
	defer stopRecording()
	var background, recorder sync.WaitGroup
	recorder.Go(func() { w.mailer.Run(recording) })
	if err := imports.Start(w.handler(ctx, kindImport, w.runImport)); err != nil {
		return fmt.Errorf("start import workers: %w", err)
	}
	if err := mails.Start(w.handler(ctx, kindInvitation, w.sendInvitations)); err != nil {
		imports.Shutdown()
		return fmt.Errorf("start mail workers: %w", err)
	}
	background.Go(func() { w.outbox.run(ctx) })
	background.Go(func() { w.sweeper.run(ctx) })
	if w.cfg.Courier != nil {
		background.Go(func() { w.cfg.Courier.Run(ctx) })
	}

	<-ctx.Done()
	w.log.Info("worker drains")
	var stopping sync.WaitGroup
	stopping.Go(imports.Shutdown)
	stopping.Go(mails.Shutdown)
	stopping.Wait()
	w.under.Wait() // those asynq gave up on, too
	background.Wait()
	stopRecording() // the last: mails that were under way are recorded by now
	recorder.Wait()
	w.mailer.postman.Close()
	return nil
}

func (w *Worker) server(queue string, concurrency int, look time.Duration) *asynq.Server {
	return asynq.NewServer(w.cfg.Redis, asynq.Config{
		Concurrency:       concurrency,
		Queues:            map[string]int{queue: 1},
		TaskCheckInterval: look,
		ShutdownTimeout:   w.cfg.Drain,
		Logger:            asynqLog{w.log},
		LogLevel:          asynq.WarnLevel,
	})
}

// handler reads the payload and hands it on. It reports no error to asynq: what
// is to be done again stands in PostgreSQL, and a task that fails there would
// only be kept by Redis to no use.
//
// The work's context ends when the worker is to stop. It is not asynq's base
// context: when that ends asynq takes the task for failed at once, and its
// shutdown no longer waits for the handler, which is just handing the import
// back.
func (w *Worker) handler(stop context.Context, kind string, do func(context.Context, payload) error) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		w.under.Add(1)
		defer w.under.Done()
		defer func() {
			if p := recover(); p != nil { // asynq would keep the task for good
				w.meter.panics.WithLabelValues(atTask).Inc()
				w.log.Error("panic in a task", "kind", kind, "type", fmt.Sprintf("%T", p), "stack", string(debug.Stack()))
			}
		}()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(stop, cancel)()
		var p payload
		if t.Type() != kind {
			w.log.Error("task of an unknown kind", "kind", t.Type())
			return nil
		}
		if err := json.Unmarshal(t.Payload(), &p); err != nil {
			w.log.Error("task without a readable payload", "kind", kind)
			return nil
		}
		if err := do(ctx, p); err != nil {
			w.log.Error("task failed, it will be done again", "kind", kind, "error", err)
		}
		return nil
	})
}

func (w *Worker) runImport(ctx context.Context, p payload) error {
	rest, err := w.workOn(ctx, p)
	if rest.Invited {
		w.outbox.wake()
	}
	if !rest.More {
		if w.cfg.Courier != nil {
			w.cfg.Courier.Wake() // the import may have ended
		}
		return err
	}
	// The rest goes to the back of the queue, so that others get their turn.
	ring, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	return errors.Join(err, w.bell.RingImport(ring, p.ID, rest.Dispatch))
}

func (w *Worker) workOn(ctx context.Context, p payload) (rest Rest, err error) {
	w.imports.begin(time.Now())
	defer func() { w.imports.end(time.Now(), rest.More) }()
	return w.importer.Run(ctx, p.ID)
}

func (w *Worker) sendInvitations(ctx context.Context, p payload) error {
	if ctx.Err() != nil {
		return nil // stopping: they come due again
	}
	return w.mailer.Send(ctx, p.invitations()...)
}

// asynqLog passes asynq's own words on.
type asynqLog struct{ log *slog.Logger }

func (l asynqLog) write(level slog.Level, args []any) {
	l.log.Log(context.Background(), level, "queue", "said", strings.TrimSpace(fmt.Sprint(args...)))
}

func (l asynqLog) Debug(args ...any) { l.write(slog.LevelDebug, args) }
func (l asynqLog) Info(args ...any)  { l.write(slog.LevelInfo, args) }
func (l asynqLog) Warn(args ...any)  { l.write(slog.LevelWarn, args) }
func (l asynqLog) Error(args ...any) { l.write(slog.LevelError, args) }

// Fatal must not end the process: asynq calls it when Redis is away at the start.
func (l asynqLog) Fatal(args ...any) { l.write(slog.LevelError, args) }
