"""The TensorFlow ops that an exported model may hold: those that any runtime has."""

from tensorflow.core.protobuf import saved_model_pb2

PLAIN_OPS = {
    # functions and control flow
    "Assert", "Const", "Identity", "IdentityN", "If", "NoOp", "Placeholder",
    "StatefulPartitionedCall", "StatelessWhile", "While",
    # random numbers from a seed
    "StatelessRandomGetKeyCounter", "StatelessRandomUniformV2",
    # arithmetic
    "Abs", "AddV2", "All", "Any", "ArgMax", "BatchMatMulV2", "BiasAdd", "Cast", "Conv2D",
    "Cumsum", "DenseBincount", "Equal", "FloorDiv", "FloorMod", "Greater", "GreaterEqual",
    "IsNan", "Less", "LessEqual", "Log", "LogSoftmax", "LogicalAnd", "LogicalNot", "LogicalOr",
    "MatMul", "Max", "Maximum", "Min", "Minimum", "Mul", "Neg", "NotEqual", "Pow", "Prod",
    "RealDiv", "Relu", "Select", "SelectV2", "Sigmoid", "Softmax", "Softplus",
    "SparseSoftmaxCrossEntropyWithLogits", "Sqrt", "Square", "StopGradient", "Sub", "Sum",
    "Tanh", "TopKV2", "UnsortedSegmentSum",
    # shapes
    "BroadcastTo", "ConcatV2", "EnsureShape", "ExpandDims", "Fill", "GatherV2", "OnesLike",
    "Pack", "Pad", "PadV2", "Range", "Reshape", "ReverseV2", "Shape", "Size", "Split",
    "Squeeze", "StridedSlice", "Tile", "Transpose", "Unpack", "Where", "ZerosLike",
    # lists of tensors
    "RaggedTensorToTensor", "TensorListConcatV2", "TensorListFromTensor", "TensorListGetItem",
    "TensorListReserve", "TensorListSetItem", "TensorListStack",
    # text, tables, variables, files
    "AssignVariableOp", "DisableCopyOnRead", "HashTableV2", "LookupTableFindV2",
    "LookupTableImportV2", "MergeV2Checkpoints", "ReadVariableOp", "RestoreV2", "SaveV2",
    "ReduceJoin", "ShardedFilename", "StaticRegexFullMatch", "StaticRegexReplace",
    "StringJoin", "StringLower", "StringSplitV2", "StringStrip", "UnicodeDecode",
    "UnicodeEncode", "VarHandleOp", "VarIsInitializedOp",
}  # fmt: skip


def assert_plain(exported) -> None:
    """Fails where an exported model holds any other op, saving and loading included."""
    model = saved_model_pb2.SavedModel.FromString((exported / "saved_model.pb").read_bytes())
    (graphs,) = model.meta_graphs
    assert_plain_graph(graphs.graph_def)


def assert_plain_graph(graph) -> None:
    """Fails for any op that is not in the list, and for whatever only XLA understands."""
    nodes = list(graph.node)
    for function in graph.library.function:
        assert not function.attr["_XlaMustCompile"].b, function.signature.name
        nodes.extend(function.node_def)
    others = {node.op for node in nodes} - PLAIN_OPS
    assert not others, f"ops that are not in the list: {', '.join(sorted(others))}"
    for node in nodes:
        assert not any("xla" in attribute.lower() for attribute in node.attr), node.name
