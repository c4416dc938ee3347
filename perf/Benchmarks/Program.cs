using BenchmarkDotNet.Running;
using FastShare.Benchmarks;

BenchmarkSwitcher.FromAssembly(typeof(NoiseBenchmarks).Assembly).Run(args);
