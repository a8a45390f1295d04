package app

import (
	"errors"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambdacontext"
)

// LogLevel is a log level by one of Lambda's names. The zero LogLevel is INFO.
type LogLevel struct{ slog.Level }

// UnmarshalText takes Lambda's six names.
func (l *LogLevel) UnmarshalText(text []byte) error {
	switch string(text) {
	case "TRACE":
		l.Level = slog.LevelDebug - 4
	case "DEBUG":
		l.Level = slog.LevelDebug
	case "INFO":
		l.Level = slog.LevelInfo
	case "WARN":
		l.Level = slog.LevelWarn
	case "ERROR":
		l.Level = slog.LevelError
	case "FATAL":
		l.Level = slog.LevelError + 4
	default:
		return errors.New("must be TRACE, DEBUG, INFO, WARN, ERROR or FATAL")
	}
	return nil
}

// newLogger logs JSON in Lambda's form, which its console and its log level filter understand.
func newLogger(level slog.Leveler) *slog.Logger {
	options := slog.HandlerOptions{Level: level, ReplaceAttr: lambdacontext.ReplaceAttr}
	return slog.New(slog.NewJSONHandler(os.Stdout, &options))
}
