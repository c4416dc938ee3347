using BenchmarkDotNet.Running;
using FastShare.Benchmarks;

if (args is ["--check-budget"]) return await AllocationBudget.CheckAsync();
BenchmarkSwitcher.FromAssembly(typeof(NoiseBenchmarks).Assembly).Run(args);
return 0;
