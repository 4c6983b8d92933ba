from easytransfer_mtl import ConvertSettings, SubmitSettings, TrainSettings, convert, load, submit, train

quickstart = "run_scripts/config/quickstart.json"
convert(ConvertSettings(config=quickstart, output_dir="runs/walk/data"))

settings = TrainSettings(
    config=quickstart,
    train_input_fp="runs/walk/data/train.list_tfrecord",
    predict_input_fp="runs/walk/data/dev.list_tfrecord",
    model_dir="runs/walk/model",
)
train(settings)

model = load("runs/walk/model")
print(model.predict("TNEWS", "国足二比一赢了").label_name)
print(model.predict("OCNLI", [("天气很好", "天气不好"), ("他在睡觉", "他没醒")]))
print(model.predict_all("我很高兴"))  # every task that reads one text

submit(
    SubmitSettings(
        predict_checkpoint_path="runs/walk/model", data_dir="data/sample", predict_output_fp="runs/walk/submission"
    )
)
